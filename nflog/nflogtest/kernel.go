// Package nflogtest opens a Reader on a fake kernel, so that programs that read
// logged packets can be tested on any system and without privileges.
//
//	r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
//	k.Log(nflog.Packet{Prefix: []byte("in "), Payload: synPacket})
//	b := r.NewBatch()
//	err := r.Receive(b) // fills b.Packets
//
// Receive returns what was logged; a loop over r.Packets needs a break.
package nflogtest

import (
	"encoding/binary"
	"slices"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
)

// A Kernel is a fake kernel with log groups. It answers requests as Linux does.
// Unlike Linux it delivers packets at once, except those passed to Collect. All its
// methods are safe for concurrent use.
type Kernel struct {
	wire *nfnltest.Kernel

	mu      sync.Mutex // guards what follows
	groups  map[uint16]*group
	first   uint16 // the group that was bound first
	global  uint32 // the last global sequence number
	loggers [families]bool
	refuse  func(nfnl.Message) error
}

// A group is one that is bound.
type group struct {
	copyRange int
	flags     uint16
	seq       uint32 // of the next packet
	collected []record
}

// A record is a logged packet.
type record struct {
	packet     *nflog.Packet
	connection *connection // nil if none is reported
}

// A connection is what the kernel reports of the connection of a packet.
type connection struct {
	info  attr.ConntrackInfo
	attrs []byte
}

// Open returns an open Reader and its kernel. Both are closed when the test ends. If
// the groups cannot be opened, the test fails.
func Open(t testing.TB, cfg nflog.Config) (*nflog.Reader, *Kernel) {
	t.Helper()
	conn, k := New(t)
	r, err := nflog.OpenConn(conn, cfg)
	if err != nil {
		t.Fatalf("open log groups of the fake kernel: %v", err)
	}
	t.Cleanup(func() { r.Close() })
	return r, k
}

// New returns a connection for nflog.OpenConn and its kernel, in which no group is
// bound yet. Both are closed when the test ends.
func New(t testing.TB) (*nfnl.Conn, *Kernel) {
	t.Helper()
	k := &Kernel{groups: map[uint16]*group{}}
	conn, wire := nfnltest.New(t, k.answer)
	k.wire = wire
	return conn, k
}

// Refuse makes the kernel call f with each message before it handles the message. If
// f returns a syscall.Errno, the kernel refuses the message with that. A nil f ends
// this.
func (k *Kernel) Refuse(f func(nfnl.Message) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.refuse = f
}

// Bound reports whether the group is bound.
func (k *Kernel) Bound(group uint16) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.groups[group] != nil
}

// Logger reports whether NFLOG is the logger of the protocol family f; see
// nflog.Reader.SetNamespaceLogger.
func (k *Kernel) Logger(f nfnl.Family) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return int(f) < len(k.loggers) && k.loggers[f]
}

// Log delivers copies of the packets, in one datagram for each group. It sets Seq,
// and GlobalSeq if the group's Config asks for it, and truncates Payload to
// Config.CopyRange. A packet whose Time is zero, or whose ReceiptTime is set, is
// delivered without a time. If Group is 0 and group 0 is not bound, Log uses the
// group that was bound first. A packet of any other group that is not bound is
// ignored.
func (k *Kernel) Log(packets ...nflog.Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.collect(packets, nil)
	k.flush(packets)
}

// LogTracked is like Log, for packets of a tracked connection. Groups with
// Config.Conntrack also get info and conntrack, the encoded CTA_* attributes that
// attr.Conntrack decodes.
func (k *Kernel) LogTracked(info attr.ConntrackInfo, conntrack []byte, packets ...nflog.Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.collect(packets, &connection{info, slices.Clone(conntrack)})
	k.flush(packets)
}

// Collect is like Log, but delivers the packets only when Flush or Log is called for
// their group or the group is unbound.
func (k *Kernel) Collect(packets ...nflog.Packet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.collect(packets, nil)
}

// Flush delivers the packets that Collect has collected for a group, in one datagram.
func (k *Kernel) Flush(group uint16) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.flushGroup(group)
}

// Lose simulates n packets that are logged to a group while the receive buffer is
// full. Each gets a sequence number, and is lost.
func (k *Kernel) Lose(group uint16, n uint32) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if g := k.groups[group]; g != nil {
		g.seq += n
		k.global += n
	}
}

// LoseAnswers makes the kernel lose its next n answers, as when the receive buffer is
// full. The requests are carried out.
func (k *Kernel) LoseAnswers(n int) { k.wire.LoseAnswers(n) }

// Deliver sends a datagram to the Reader's socket as it is, for example one with
// malformed messages.
func (k *Kernel) Deliver(datagram []byte) { k.wire.Deliver(datagram) }

// collect numbers packets and adds them to what their groups have.
func (k *Kernel) collect(packets []nflog.Packet, c *connection) {
	for _, p := range packets {
		p.Group = k.number(p)
		g := k.groups[p.Group]
		if g == nil {
			continue
		}
		p.Payload = p.Payload[:min(len(p.Payload), g.copyRange)]
		if g.flags&flagSeq != 0 {
			p.Seq = g.seq
			g.seq++
		}
		p.GlobalSeq = 0
		if g.flags&flagGlobalSeq != 0 {
			k.global++
			p.GlobalSeq = k.global
		}
		r := record{packet: p.Clone()}
		if g.flags&flagConntrack != 0 {
			r.connection = c
		}
		g.collected = append(g.collected, r)
	}
}

// number returns the group that p is for.
func (k *Kernel) number(p nflog.Packet) uint16 {
	if p.Group == 0 && k.groups[0] == nil {
		return k.first
	}
	return p.Group
}

// flush delivers what was collected for the groups of packets.
func (k *Kernel) flush(packets []nflog.Packet) {
	for _, p := range packets {
		k.flushGroup(k.number(p))
	}
}

// flushGroup delivers what was collected, with a DONE behind it if that is more
// than one packet (__nfulnl_send).
func (k *Kernel) flushGroup(number uint16) {
	g := k.groups[number]
	if g == nil || len(g.collected) == 0 {
		return
	}
	var datagram []byte
	for _, r := range g.collected {
		datagram = appendPacket(datagram, r.packet, r.connection)
	}
	if len(g.collected) > 1 {
		body := binary.BigEndian.AppendUint16([]byte{0, 0}, number)
		datagram = nfnl.Message{Type: typeDone, Attrs: body}.Append(datagram)
	}
	g.collected = nil
	k.wire.Deliver(datagram)
}
