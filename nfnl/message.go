package nfnl

import "github.com/nfpacket/nfpacket/internal/engine"

// A Type names a message, in 16 bits: a subsystem of nfnetlink in the high byte (3 is
// NFQUEUE, 4 NFLOG), one of its messages in the low byte. Types below 16 are netlink's
// own, without a subsystem.
type Type = engine.Type

// A Message is one nfnetlink message. The zero Message is no message the
// kernel knows.
type Message struct {
	Type     Type
	Flags    uint16 // NLM_F_ of linux/netlink.h; the kernel ignores messages without NLM_F_REQUEST (1)
	Seq      uint32 // echoed by the kernel in its answer
	PortID   uint32 // 0 in what the kernel sends; the kernel ignores ours but echoes it
	Family   Family // the hook's family; 0 in requests
	Resource uint16 // queue number or log group

	// Attrs is for attr.NewDecoder. It aliases the buffer that was parsed. For
	// netlink's own messages (see Reply) it is all that follows the header.
	Attrs []byte
}

// Next parses the first message in b and returns what follows it:
//
//	for len(b) > 0 {
//		var m nfnl.Message
//		if m, b, err = nfnl.Next(b); err != nil {
//			break
//		}
//	}
//
// A message that claims to be longer than b is an error that wraps
// ErrMalformed; m then holds as much of it as is there, and rest is nil.
func Next(b []byte) (m Message, rest []byte, err error) {
	e, rest, err := engine.Next(b)
	return Message(e), rest, err
}

// Append appends the whole message to b.
func (m Message) Append(b []byte) []byte { return engine.Message(m).Append(b) }

// Reply returns the answer that m contains: the refused request and the reason or, with
// an Errno of 0, an acknowledgement. It returns false if m is not an answer, or is too
// short to identify the request.
//
//	 0       4                    20
//	+-------+--------------------+-------------------------+-----------+
//	| errno | header of request  | request, unless capped  | text ...  |
//	+-------+--------------------+-------------------------+-----------+
func (m Message) Reply() (Error, bool) {
	r, ok := engine.Message(m).Reply()
	return Error{Type: r.Type, Seq: r.Seq, Errno: r.Errno, Text: string(r.Text), Offset: r.Offset}, ok
}
