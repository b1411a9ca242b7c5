package engine

import (
	"encoding/binary"
	"fmt"
	"syscall"

	"github.com/nfpacket/nfpacket/attr"
)

// A Message is one nfnetlink message. Its fields are those of nfnl.Message, which
// describes them, so that one can be converted to the other.
type Message struct {
	Type     Type
	Flags    uint16
	Seq      uint32
	PortID   uint32
	Family   Family
	Resource uint16
	Attrs    []byte // of netlink's own messages all that follows the header
}

// Next parses the first message in b and returns what follows it; see nfnl.Next.
func Next(b []byte) (m Message, rest []byte, err error) {
	rest, err = m.parse(b)
	return m, rest, err
}

// parse sets m to the first message in b, as Next does, field by field: a copy
// of a whole Message would wait for the stores of its parts.
func (m *Message) parse(b []byte) (rest []byte, err error) {
	if len(b) < headerLen {
		*m = Message{}
		return nil, fmt.Errorf("%w: %d bytes, shorter than a header", ErrMalformed, len(b))
	}
	length := binary.NativeEndian.Uint32(b)
	m.Type = Type(binary.NativeEndian.Uint16(b[4:]))
	m.Flags = binary.NativeEndian.Uint16(b[6:])
	m.Seq = binary.NativeEndian.Uint32(b[8:])
	m.PortID = binary.NativeEndian.Uint32(b[12:])
	whole := length >= headerLen && uint64(length) <= uint64(len(b))
	n := len(b)
	if whole {
		n = int(length)
		// The last message of a datagram may lack its padding: NFQUEUE's do.
		rest = b[min(align(n), len(b)):]
	}
	b = b[headerLen:n:n]
	m.Family, m.Resource = 0, 0
	if !m.Type.control() {
		if len(b) < genericLen {
			m.Attrs = nil
			return nil, fmt.Errorf("%w: %d bytes, shorter than an nfnetlink header", ErrMalformed, n)
		}
		m.Family = Family(b[0])
		m.Resource = binary.BigEndian.Uint16(b[2:])
		b = b[genericLen:]
	}
	m.Attrs = b
	if !whole {
		return nil, fmt.Errorf("%w: length %d in a datagram that has %d bytes left", ErrMalformed, length, n)
	}
	return rest, nil
}

// Begin appends what m has before its attributes to b. Append the attributes next,
// then call End with the length that b had before.
func Begin(b []byte, m *Message) []byte {
	b = append(b, 0, 0, 0, 0) // the length, for End
	b = binary.NativeEndian.AppendUint16(b, uint16(m.Type))
	b = binary.NativeEndian.AppendUint16(b, m.Flags)
	b = binary.NativeEndian.AppendUint32(b, m.Seq)
	b = binary.NativeEndian.AppendUint32(b, m.PortID)
	if m.Type.control() {
		return b
	}
	return append(b, byte(m.Family), 0, byte(m.Resource>>8), byte(m.Resource))
}

// End completes the message that starts at b[start] and pads it, so that
// another may follow.
func End(b []byte, start int) []byte {
	binary.NativeEndian.PutUint32(b[start:], uint32(len(b)-start))
	for (len(b)-start)%alignTo != 0 {
		b = append(b, 0)
	}
	return b
}

// Append appends the whole message to b.
func (m Message) Append(b []byte) []byte {
	start := len(b)
	return End(append(Begin(b, &m), m.Attrs...), start)
}

// A Reply is the kernel's answer to a request.
type Reply struct {
	Type   Type   // of the request
	Seq    uint32 // of the request
	PortID uint32 // of the request

	Errno  syscall.Errno // 0 if the kernel did what was asked
	Text   []byte        // the kernel's explanation, if any; aliases the message
	Offset uint32        // of the attribute that Text is about, from the start of the request
}

// Reply returns the answer that m is. It returns false if m is none, or is too short
// to identify the request.
//
//	 0       4                    20
//	+-------+--------------------+-------------------------+-----------+
//	| errno | header of request  | request, unless capped  | text ...  |
//	+-------+--------------------+-------------------------+-----------+
func (m Message) Reply() (Reply, bool) {
	if m.Type != typeError || len(m.Attrs) < errorLen {
		return Reply{}, false
	}
	echo := m.Attrs[4:]
	r := Reply{
		Type:   Type(binary.NativeEndian.Uint16(echo[4:])),
		Seq:    binary.NativeEndian.Uint32(echo[8:]),
		PortID: binary.NativeEndian.Uint32(echo[12:]),
		Errno:  syscall.Errno(-int32(binary.NativeEndian.Uint32(m.Attrs))),
	}
	if m.Flags&flagText != 0 {
		r.explain(m.Attrs, m.Flags&flagCapped != 0)
	}
	return r, true
}

// explain reads the attributes after the echoed request (netlink_ack_tlv_fill in
// net/netlink/af_netlink.c).
func (r *Reply) explain(body []byte, capped bool) {
	skip := errorLen
	if !capped {
		skip = 4 + align(int(binary.NativeEndian.Uint32(body[4:])))
	}
	if skip < errorLen || skip > len(body) {
		return
	}
	for d := attr.NewDecoder(body[skip:]); d.Next(); {
		switch d.Type() {
		case errorText:
			r.Text = d.CString()
		case errorOffset:
			if v := d.Bytes(); len(v) >= 4 {
				r.Offset = binary.NativeEndian.Uint32(v)
			}
		}
	}
}

// Err returns the refusal as an *Error, or nil if the kernel did what was asked.
func (r Reply) Err() error {
	if r.Errno == 0 {
		return nil
	}
	return &Error{Type: r.Type, Seq: r.Seq, Errno: r.Errno, Text: string(r.Text), Offset: r.Offset}
}

// align rounds n up to where the next message may start.
func align(n int) int { return (n + alignTo - 1) &^ (alignTo - 1) }

// headOf returns how many bytes of msgs, whole messages, fit into limit. It is
// at least one message, for the kernel to refuse it.
func headOf(msgs []byte, limit int) int {
	if len(msgs) <= limit {
		return len(msgs)
	}
	n := 0
	for n+headerLen <= len(msgs) {
		next := n + align(int(binary.NativeEndian.Uint32(msgs[n:])))
		if next <= n || next > limit && n > 0 || next > len(msgs) {
			break
		}
		n = next
	}
	if n == 0 {
		return len(msgs)
	}
	return n
}
