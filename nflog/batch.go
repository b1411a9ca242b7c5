package nflog

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A Batch holds the packets of one Receive. Its contents are valid until the next
// Receive with the same Batch. A Batch can be reused, but not by concurrent calls of
// Receive.
type Batch struct {
	Packets []Packet

	r    *Reader
	used atomic.Bool // by Receive or TryReceive
	buf  *buffer
}

// A buffer has the datagrams of one receive and the packets in them. It is not part
// of a Batch because the packets that a loop has not yielded are passed on to another
// Batch.
type buffer struct {
	r       *Reader
	raw     *engine.Batch
	packets []Packet
	next    int // the first of those that no loop has yielded

	now   time.Time // of the receive, once a packet needs it
	taken int       // messages
	news  news
}

// NewBatch returns a Batch with room for Config.Batch datagrams of any length. Physical
// memory is used only as far as packets fill it. Keep the Batch, or a Packet of it, as
// long as slices of its packets are used.
func (r *Reader) NewBatch() *Batch {
	r = r.orClosed()
	return &Batch{r: r, buf: r.newBuffer()}
}

// newBuffer returns a buffer for one receive.
func (r *Reader) newBuffer() *buffer {
	c := r.cfg()
	b := &buffer{r: r, packets: make([]Packet, 0, min(c.Batch*int(min(c.Threshold, maxRoom)), maxRoom))}
	size := slotSize(c.BufferSize, c.CopyRange)
	b.raw = engine.NewBatch(c.Batch, size, func(m engine.Message, err error) { b.take(&m, err) })
	b.raw.TakeRuns(b.takeRun)
	return b
}

// maxRoom is the most packets that a new Batch has room for; it grows when a receive
// returns more.
const maxRoom = 512

// clear makes room for the next receive.
func (b *buffer) clear() {
	b.packets, b.next = b.packets[:0], 0
	b.now, b.taken = time.Time{}, 0
	b.news.clear()
}

// rest returns the packets that no loop has yielded.
func (b *buffer) rest() []Packet { return b.packets[b.next:] }

// take sorts one message of the kernel.
func (b *buffer) take(m *engine.Message, err error) {
	b.taken++
	if m.Type == typePacket {
		if g := b.r.group(m.Resource); g != nil {
			b.takePacket(g, m, err)
			return
		}
	}
	if reply, ok := m.Reply(); ok && reply.Type == typeConfig {
		return // a second answer to a request that was repeated
	}
	if err == nil {
		err = fmt.Errorf("%w: type %#04x, resource %d", nfnl.ErrMalformed, uint16(m.Type), m.Resource)
	}
	b.news.malformed = append(b.news.malformed, err)
}

// takePacket adds a packet of g.
func (b *buffer) takePacket(g *group, m *engine.Message, err error) {
	p := b.room()
	p.clear(m.Resource, m.Family)
	has, wrong := p.decode(m.Attrs)
	if has&foundSeq != 0 {
		b.lose(g, p.Seq)
	}
	if err == nil {
		err = wrong
	}
	if err != nil {
		b.news.malformed = append(b.news.malformed, err)
		return
	}
	b.add(p)
	g.packets.Add(1)
}

// takeRun takes the packets at the beginning of msgs, the messages of a datagram
// or the last of them. It stops at a message of another group or one that is not
// a valid packet, which take handles. So one call takes all packets that a
// threshold collects.
func (b *buffer) takeRun(msgs []byte) (rest []byte, taken int) {
	g := b.r.last
	for {
		n := nlattr.MessageLen(msgs, typePacket, g.number)
		if n == 0 {
			break
		}
		p := b.room()
		p.clear(g.number, nlattr.Family(msgs))
		has, err := p.decode(msgs[nlattr.MessageHeaderLen:n:n])
		if err != nil {
			break
		}
		if has&foundSeq != 0 && !g.follows(p.Seq) {
			b.lose(g, p.Seq)
		}
		b.add(p)
		taken++
		msgs = msgs[min(nlattr.Align(n), len(msgs)):]
	}
	if taken > 0 {
		g.packets.Add(uint64(taken))
	}
	b.taken += taken
	return msgs, taken
}

// room returns the place for the next packet, which is one of b's once it is
// added.
func (b *buffer) room() *Packet {
	n := len(b.packets)
	if n == cap(b.packets) {
		b.packets = append(b.packets, Packet{})[:n]
	}
	p := &b.packets[:n+1][n]
	p.from = b.raw
	return p
}

// add adds the packet in the place that room returned.
func (b *buffer) add(p *Packet) {
	b.packets = b.packets[:len(b.packets)+1]
	b.news.bytes += uint64(len(p.Payload))
	if p.Time.IsZero() {
		p.Time, p.ReceiptTime = b.clock(), true
	}
}

// lose counts how many packets of g were lost before the one numbered seq.
func (b *buffer) lose(g *group, seq uint32) {
	if n := g.gap(seq); n > 0 {
		g.lost.Add(uint64(n))
		b.news.lose(g.number, n)
	}
}

// clock returns the time of the receive, in the form that the kernel's have. It
// reads the clock, which takes as long as decoding, once for all packets.
func (b *buffer) clock() time.Time {
	if b.now.IsZero() {
		b.now = time.Now().Round(0)
	}
	return b.now
}
