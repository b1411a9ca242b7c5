//go:build !linux

package main

import (
	"context"
	"errors"
	"os"
)

const demoDropped = 0

func openTerminal(_, _ *os.File) (func() error, error) { return nil, errors.ErrUnsupported }
func windowSize(*os.File) size                         { return size{} }
func enterDemo() error                                 { return errors.ErrUnsupported }
func startDemo(context.Context) error                  { return errors.ErrUnsupported }
