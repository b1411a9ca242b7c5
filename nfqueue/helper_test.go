package nfqueue_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

func TestMain(m *testing.M) { os.Exit(testkit.WithoutLeaks(m).Run()) }

// wire puts bytes together: strings are hexadecimal digits and may have
// spaces, integers are in host byte order.
func wire(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case string:
			digits, err := hex.DecodeString(strings.ReplaceAll(p, " ", ""))
			if err != nil {
				panic(err)
			}
			b = append(b, digits...)
		case uint16:
			b = binary.NativeEndian.AppendUint16(b, p)
		case uint32:
			b = binary.NativeEndian.AppendUint32(b, p)
		case []byte:
			b = append(b, p...)
		default:
			panic(fmt.Sprintf("%T", p))
		}
	}
	return b
}

// tlv returns an attribute without padding.
func tlv(typ uint16, parts ...any) []byte {
	return testkit.TLV(typ, wire(parts...)...)
}

// header returns the headers of a message of n bytes for queue 5.
func header(n int, typ, flags uint16, seq uint32, family string) []byte {
	return wire(uint32(n), typ, flags, seq, uint32(0), family, "00 0005")
}

// packetMessage returns a message that delivers a packet of queue 7 with an ID
// and more attributes, which are padded.
func packetMessage(id uint32, attrs ...[]byte) []byte {
	body := testkit.List(append([][]byte{tlv(1, fmt.Sprintf("%08x", id), "0800 01")}, attrs...)...)
	return wire(uint32(20+len(body)), uint16(0x0300), uint16(0), uint32(0), uint32(0), "02 00 0007", body)
}

// parse returns the one message in b.
func parse(t testing.TB, b []byte) nfnl.Message {
	t.Helper()
	m, rest, err := nfnl.Next(b)
	if err != nil || len(rest) > 0 {
		t.Fatalf("parse %x: %v, %d bytes left", b, err, len(rest))
	}
	return m
}

// decode returns the packet in the message.
func decode(t testing.TB, message []byte) *nfqueue.Packet {
	t.Helper()
	p := new(nfqueue.Packet)
	if err := p.Decode(parse(t, message)); err != nil {
		t.Fatalf("decode %x: %v", message, err)
	}
	return p
}

// udpPacket returns an IPv4 UDP packet whose checksums are right.
func udpPacket(data string) []byte {
	b := wire("4500 0000 0000 4000 4011 0000 c0000201 c0000202 1234 0009 0000 0000", []byte(data))
	if err := nfqueue.Finish(b); err != nil {
		panic(err)
	}
	return b
}

// pendingPacket is udpPacket with the sum of the pseudo-header where the kernel
// has yet to compute the checksum.
func pendingPacket(data string) []byte {
	b := udpPacket(data)
	// c000+0201 + c000+0202 + protocol 17 + the length, folded
	binary.BigEndian.PutUint16(b[26:], 0x8415+uint16(len(b)-20))
	return b
}

// packet returns one to be enqueued.
func packet(data string) nfqueue.Packet {
	return nfqueue.Packet{Hook: nfnl.Prerouting, InDev: 1, Payload: udpPacket(data)}
}

// data returns what follows the UDP header.
func data(payload []byte) string { return string(payload[28:]) }

// open returns queue 7 and its kernel.
func open(t testing.TB, cfg nfqueue.Config) (*nfqueue.Queue, *nfqueuetest.Kernel) {
	t.Helper()
	cfg.Queue = 7
	return nfqueuetest.Open(t, cfg)
}

// start calls q.Run in the background until the test ends or stop is called, which
// returns Run's error.
func start(t testing.TB, q *nfqueue.Queue, h nfqueue.Handler) (stop func() error) {
	t.Helper()
	return testkit.Start(t, func(ctx context.Context) error { return q.Run(ctx, h) })
}

// nextPackets waits for errors that match target, about n packets in all, of which
// id is the first, if it is not 0: there is one for each receive that had some of them.
func nextPackets(t testing.TB, reported *testkit.Errors, target error, id uint32, n int) *nfqueue.PacketError {
	t.Helper()
	var first *nfqueue.PacketError
	for seen := 0; seen < n; {
		err := reported.Next(t, target)
		var of *nfqueue.PacketError
		if !errors.As(err, &of) {
			t.Fatalf("OnError was called with %v, not which packet it is about", err)
		}
		if first == nil {
			first = of
		}
		if seen += 1 + of.More; seen > n {
			t.Errorf("OnError was called for %d packets, not %d: %v", seen, n, target)
		}
	}
	if id != 0 && first.ID != id || first.Queue != 7 {
		t.Errorf("the first is packet %d of queue %d, not %d of 7: %v", first.ID, first.Queue, id, first)
	}
	return first
}

// wantVerdict waits for the verdict on a packet.
func wantVerdict(t testing.TB, k *nfqueuetest.Kernel, id uint32, want nfqueue.Verdict) {
	t.Helper()
	if got := k.Verdict(id); !got.Equal(want) {
		t.Errorf("packet %d got %v, want %v", id, got, want)
	}
}

// accept accepts everything.
func accept(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept() }

// verdictType is NFQNL_MSG_VERDICT.
const verdictType nfnl.Type = 0x0301

// refuseVerdicts makes the kernel refuse the verdicts on a packet, the next n.
func refuseVerdicts(k *nfqueuetest.Kernel, id uint32, n int, errno syscall.Errno) {
	var mu sync.Mutex
	k.Refuse(func(m nfnl.Message) error {
		mu.Lock()
		defer mu.Unlock()
		if m.Type != verdictType || m.Seq != id || n == 0 {
			return nil
		}
		n--
		return errno
	})
}

// A wiretap is a kernel that does nothing but acknowledge, and keeps what is
// sent to it.
type wiretap struct {
	*engine.Peer
	sends chan []byte // each one Send
}

// tap returns queue 7 on a wiretap.
func tap(t testing.TB, cfg nfqueue.Config) (*nfqueue.Queue, wiretap) {
	t.Helper()
	return tapUnless(t, cfg, func() error { return nil })
}

// tapUnless is tap, but a Send fails while fails returns an error.
func tapUnless(t testing.TB, cfg nfqueue.Config, fails func() error) (*nfqueue.Queue, wiretap) {
	t.Helper()
	w := wiretap{sends: make(chan []byte, 1000)}
	conn, peer, err := engine.Pipe(func(datagram []byte) error {
		if err := fails(); err != nil {
			return err
		}
		m, _, err := nfnl.Next(datagram)
		if err == nil && m.Flags&engine.FlagAck != 0 && m.Type != verdictType {
			return w.acknowledge(m)
		}
		w.sends <- bytes.Clone(datagram)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	w.Peer = peer
	cfg.Queue = 7
	q, err := nfqueue.OpenConn((*nfnl.Conn)(conn), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		q.Close()
		peer.Close()
	})
	return q, w
}

// acknowledge says yes to m.
func (w *wiretap) acknowledge(m nfnl.Message) error {
	echo := m.Append(nil)[:16]
	return w.Deliver(wire(uint32(36), uint16(2), uint16(0x100), m.Seq, uint32(0), uint32(0), echo))
}

// verdictIDs returns the IDs in a datagram of verdicts, in order.
func verdictIDs(t testing.TB, datagram []byte) (ids []uint32) {
	t.Helper()
	for len(datagram) > 0 {
		m, rest, err := nfnl.Next(datagram)
		if err != nil || m.Type != verdictType {
			t.Fatalf("sent %x: %v", datagram, err)
		}
		ids, datagram = append(ids, m.Seq), rest
	}
	return ids
}
