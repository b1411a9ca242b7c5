//go:build !linux

package nfnl

import (
	"errors"
	"os"
)

func openProc(transport, string) (*os.File, error) { return nil, errors.ErrUnsupported }

func watchLinks(transport) (watch, map[int]string, error) { return nil, nil, errors.ErrUnsupported }
