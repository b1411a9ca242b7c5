package nfnl

import "github.com/nfpacket/nfpacket/internal/engine"

// Links names network interfaces by their index, from a table that the kernel
// keeps current. It costs no system call a packet. Nil and the zero Links name
// none.
//
// An interface that is deleted keeps its name for ten seconds, for its packets that are
// still queued. If notifications were lost, the table is reloaded.
type Links engine.Links

// Name returns the name of the interface with an index, or "" if there is none:
// index 0, which packets have for an interface that is not known, never is.
func (l *Links) Name(index int) string { return (*engine.Links)(l).Name(index) }

// Close ends the goroutine. The names stay as they are then. Closing again does
// nothing.
func (l *Links) Close() error { return (*engine.Links)(l).Close() }
