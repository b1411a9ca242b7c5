package nfnl

import (
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// ErrMalformed is wrapped by every error about a message that makes no sense.
var ErrMalformed = engine.ErrMalformed

// An Error is the kernel's refusal of a message:
//
//	type Error struct {
//		Type   Type          // of the refused message
//		Seq    uint32        // of the refused message
//		Errno  syscall.Errno // why
//		Text   string        // the kernel's own words, often empty
//		Offset uint32        // of the attribute that Text is about, from the start of the message; 0 if none
//	}
//
// Its Error method returns what Errno means, and Text if there is any. errors.Is finds
// Errno under it, and so os.ErrPermission and errors.ErrUnsupported.
type Error = engine.Error

// An OverrunError reports packets that did not reach the program because the receive
// buffer or the queue was full or the kernel had no memory. Queued packets were dropped
// or, if Bypassed is set, accepted. It is passed to OnError, and is not fatal. It
// matches syscall.ENOBUFS.
type OverrunError struct {
	Group    uint16 // of nflog that the packets were logged to; 0 for a queue
	Lost     uint64 // packets
	Bypassed bool   // the queue was fail-open: the packets were accepted uninspected
	Full     bool   // the queue was full (nfqueue's Config.MaxLen), not the receive buffer
}

// Error says how many packets were lost and what to do about it.
func (e *OverrunError) Error() string {
	if e.Full {
		return fmt.Sprintf("%d packets dropped: the queue was full; raise MaxLen, hold fewer packets, or decide faster", e.Lost)
	}
	fate := "lost"
	if e.Bypassed {
		fate = "let through uninspected"
	}
	return fmt.Sprintf("%d packets %s: the receive buffer was full; raise it, lower CopyRange, or handle packets faster", e.Lost, fate)
}

// Is makes an OverrunError match syscall.ENOBUFS.
func (e *OverrunError) Is(target error) bool { return target == syscall.ENOBUFS }
