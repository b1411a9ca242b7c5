//go:build !linux

package nfnl

import (
	"errors"
	"os"
)

func openProc(transport, string) (*os.File, error) { return nil, errors.ErrUnsupported }
