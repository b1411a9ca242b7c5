//go:build !unix

package main

import (
	"errors"
	"os"
)

func mapCounters(*os.File) (*counters, error) { return nil, errors.ErrUnsupported }
