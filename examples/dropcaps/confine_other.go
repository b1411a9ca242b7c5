//go:build !linux

package main

import (
	"errors"

	"github.com/nfpacket/nfpacket/nfnl"
)

func beginAnew(*nfnl.Conn) error { return errors.ErrUnsupported }
