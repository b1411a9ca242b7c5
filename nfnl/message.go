package nfnl

import "github.com/nfpacket/nfpacket/internal/engine"

// A Type is the type of a message, as a uint16: the subsystem of nfnetlink in the high
// byte (3 is NFQUEUE, 4 NFLOG), and one of its messages in the low byte. Types below 16
// are control messages of netlink, which have no subsystem and no nfnetlink header.
type Type = engine.Type

// A Message is one nfnetlink message. The zero Message is not valid.
type Message struct {
	Type  Type
	Flags uint16 // NLM_F_* of linux/netlink.h; the kernel ignores messages without NLM_F_REQUEST (1)
	Seq   uint32 // echoed by the kernel in its answer

	// PortID is 0 in packets, and the netlink address of the socket in answers. The
	// kernel ignores it in requests, and echoes it in the copy of the request's header
	// that an answer contains (see Reply).
	PortID uint32

	Family   Family // the hook's family in packets; in requests what the subsystem expects, 0 to bind a queue or group
	Resource uint16 // queue number or log group

	// Attrs are the encoded attributes, for attr.NewDecoder. After Next it aliases the
	// input. In a control message of netlink (see Reply) it is everything after the
	// netlink header.
	Attrs []byte
}

// Next parses the first message in b and returns it and the bytes after it:
//
//	for len(b) > 0 {
//		var m nfnl.Message
//		if m, b, err = nfnl.Next(b); err != nil {
//			break
//		}
//	}
//
// If the message is shorter than its header, or longer than b, the error wraps
// ErrMalformed, m has the part that could be parsed, and rest is nil.
func Next(b []byte) (m Message, rest []byte, err error) {
	e, rest, err := engine.Next(b)
	return Message(e), rest, err
}

// Append appends the encoded message to b and returns the extended buffer. It copies
// m.Attrs.
func (m Message) Append(b []byte) []byte { return engine.Message(m).Append(b) }

// Reply returns the kernel's answer to a request if m is one: a refusal or, with an
// Errno of 0, an acknowledgement. It returns false if m is not an answer, or is too
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
