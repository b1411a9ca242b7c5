package nfnl

import (
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/internal/engine"
)

// ErrMalformed is wrapped by every error about a message that cannot be parsed.
var ErrMalformed = engine.ErrMalformed

// An Error is the kernel's negative answer to a message:
//
//	type Error struct {
//		Type   Type          // of the refused message
//		Seq    uint32        // of the refused message
//		Errno  syscall.Errno // why
//		Text   string        // the kernel's explanation; often empty
//		Offset uint32        // of the attribute that Text refers to, in bytes from the start of the message; 0 if none
//	}
//
// Its Error method returns what Errno means, and Text if there is any. It unwraps to
// Errno, so errors.Is also matches os.ErrPermission and errors.ErrUnsupported.
type Error = engine.Error

// An OverrunError reports packets that did not reach the program because the receive
// buffer or the queue was full or the kernel had no memory. Packets for a queue were
// dropped or, if Bypassed is set, accepted; logged packets continued without a copy.
// Config.OnError of nfqueue and nflog gets it wrapped: use errors.As. It does not end
// Run or Packets. It matches syscall.ENOBUFS.
type OverrunError struct {
	Group    uint16 // log group of the packets; 0 for a queue
	Lost     uint64 // number of packets
	Bypassed bool   // the queue was fail-open: the packets were accepted uninspected
	Full     bool   // the queue was full (nfqueue's Config.MaxLen), not the receive buffer
}

// Error returns how many packets were lost, why, and what to change.
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
