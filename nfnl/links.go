package nfnl

import "github.com/nfpacket/nfpacket/internal/engine"

// Links maps the indexes of network interfaces to their names. It follows the kernel's
// notifications, so that a look-up makes no system call. A nil or zero Links has no
// names. All methods are safe for concurrent use.
//
// The name of a deleted interface is kept for ten seconds, for packets that are still
// queued. If notifications were lost, the table is reloaded.
type Links engine.Links

// Name returns the name of the interface with the given index, or "" if there is none.
// Index 0, which a Packet has for an unknown interface, has no name.
func (l *Links) Name(index int) string { return (*engine.Links)(l).Name(index) }

// Close ends the goroutine that follows notifications. Name continues to return the
// names known then. Close is idempotent.
func (l *Links) Close() error { return (*engine.Links)(l).Close() }
