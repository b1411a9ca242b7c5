//go:build !linux

package main

import "errors"

func rawSender(int) (func([]byte) error, error) { return nil, errors.ErrUnsupported }
