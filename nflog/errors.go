package nflog

import (
	"errors"
	"fmt"

	"github.com/nfpacket/nfpacket/nfnl"
)

var (
	// ErrTaken is why Open fails when another socket has the group: the same value
	// for nfqueue and nflog. It does not match os.ErrPermission. The error's text
	// names the program that has it, where that can be found out, by a search among
	// all processes at the time when the text is asked for. A program that was killed
	// has the group until it is gone, some milliseconds later: who is to take its place
	// tries again.
	ErrTaken = nfnl.ErrTaken

	// ErrUntracked says that a packet came without a connection.
	ErrUntracked = errors.New("the packet is not tracked, or Config.Conntrack is not set")
)

var (
	errNoHeader     = fmt.Errorf("%w: no packet header", nfnl.ErrMalformed)
	errNoContext    = errors.New("the context is nil")
	errForeignBatch = errors.New("the Batch was not made by NewBatch of this Reader")
)
