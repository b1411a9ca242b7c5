package nflog

import (
	"errors"
	"fmt"

	"github.com/nfpacket/nfpacket/internal/diagnose"
	"github.com/nfpacket/nfpacket/nfnl"
)

var (
	// ErrTaken is the error of Open if another socket has the group. It is the same
	// value in nfqueue and nflog, and does not match os.ErrPermission. Its Error method
	// searches /proc for the program that has the group, and names it if found. The
	// kernel releases the group of a killed process a few milliseconds after it exits,
	// so a program that takes over should retry.
	ErrTaken = diagnose.ErrTaken

	// ErrUntracked is the error of Packet.Conntrack for a packet without a connection.
	ErrUntracked = errors.New("the packet is not tracked, or Config.Conntrack is not set")
)

var (
	errNoHeader     = fmt.Errorf("%w: no packet header", nfnl.ErrMalformed)
	errNoContext    = errors.New("the context is nil")
	errForeignBatch = errors.New("the Batch was not made by NewBatch of this Reader")
	errBatchInUse   = errors.New("another goroutine uses the Batch: each needs one of its own")
)
