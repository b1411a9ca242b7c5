package nfqueue_test

import (
	"context"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// full is a packet with every attribute a queue without conntrack sends.
func full() []byte {
	return packetMessage(1,
		tlv(5, "00000002"), tlv(7, "00000003"), tlv(6, "00000004"), tlv(8, "00000005"),
		tlv(3, "0000beef"), tlv(21, "00000006"), tlv(9, "0006 0000 020000000001 0000"),
		tlv(0x8013, tlv(1, "8100"), "0000", tlv(2, "602a"), "0000"), tlv(20, make([]byte, 14)),
		tlv(4, "0000000065f00000 0000000000000007"), tlv(16, "000003e8"), tlv(17, "00000064"),
		tlv(22, "00000001"), tlv(18, "73797374656d5f7500"), tlv(13, "00000600"), tlv(14, "00000003"),
		tlv(10, udpPacket("hello, world")))
}

// plainMessage is a packet such as most are.
func plainMessage() []byte {
	return packetMessage(1, tlv(5, "00000002"), tlv(9, "0006 0000 020000000001 0000"), tlv(10, udpPacket("hello, world")))
}

// verdictKinds are the kinds of verdicts whose cost is told apart.
var verdictKinds = []struct {
	name string
	v    nfqueue.Verdict
}{
	{"plain", nfqueue.Accept()},
	{"mark", nfqueue.Accept().WithMark(7)},
	{"payload", nfqueue.Accept().WithPayload(udpPacket("HELLO, WORLD"))},
	{"raw payload", nfqueue.Accept().WithRawPayload(udpPacket("HELLO, WORLD"))},
}

// TestNoAllocs is the list of what promises not to allocate.
func TestNoAllocs(t *testing.T) {
	for name, message := range map[string][]byte{"plain": plainMessage(), "full": full()} {
		m, p := parse(t, message), new(nfqueue.Packet)
		noAllocs(t, "Decode of a "+name+" packet", func() {
			if err := p.Decode(m); err != nil {
				t.Fatal(err)
			}
		})
	}
	p, buf := decode(t, plainMessage()), make([]byte, 0, 1024)
	for _, k := range verdictKinds {
		noAllocs(t, "Append of a "+k.name+" verdict", func() {
			if _, err := k.v.Append(buf, p); err != nil {
				t.Fatal(err)
			}
		})
	}
	b := decode(t, bridged())
	link := nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100, TCI: 5}).WithLinkHeader(make([]byte, 14))
	noAllocs(t, "Append of a link header", func() {
		if _, err := link.Append(buf, b); err != nil {
			t.Fatal(err)
		}
	})
}

func noAllocs(t *testing.T, name string, f func()) {
	t.Helper()
	if n := testing.AllocsPerRun(100, f); n != 0 {
		t.Errorf("%s: %v allocations", name, n)
	}
}

// skipUnderRace skips tests that count what pools keep, some of which the race
// detector throws away.
func skipUnderRace(t *testing.T) {
	if raceEnabled {
		t.Skip("under the race detector pools allocate")
	}
}

// A sink is a kernel that delivers packets beforehand and forgets verdicts, so
// that nothing but the library can allocate meanwhile.
func sink(t testing.TB, cfg nfqueue.Config, packets int) *nfqueue.Queue {
	t.Helper()
	var peer *engine.Peer
	conn, peer, err := engine.Pipe(func(datagram []byte) error {
		if m, _, err := nfnl.Next(datagram); err == nil && m.Flags&engine.FlagAck != 0 {
			w := wiretap{Peer: peer}
			return w.acknowledge(m)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	cfg.Queue = 7
	q, err := nfqueue.OpenConn((*nfnl.Conn)(conn), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	message := plainMessage()
	for id := range uint32(packets) {
		copy(message[24:], []byte{byte((id + 1) >> 24), byte((id + 1) >> 16), byte((id + 1) >> 8), byte(id + 1)})
		if err := peer.Deliver(message); err != nil {
			t.Fatal(err)
		}
	}
	return q
}

func TestNoAllocsPerReceiveAndSend(t *testing.T) {
	skipUnderRace(t)
	for _, k := range verdictKinds {
		const runs, batch = 50, 4
		q := sink(t, nfqueue.Config{Batch: batch}, (runs+2)*batch)
		b := q.NewBatch()
		cycle := func() {
			// A signal may end recvmmsg before the batch is full.
			if err := q.Receive(b); err != nil || len(b.Packets) == 0 {
				t.Fatalf("%d packets, %v", len(b.Packets), err)
			}
			for i := range b.Verdicts {
				b.Verdicts[i] = k.v
			}
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
		}
		cycle() // makes the buffers
		if n := testing.AllocsPerRun(runs, cycle); n != 0 {
			t.Errorf("%s: %v allocations", k.name, n)
		}
	}
}

func TestNoAllocsPerPacketInRun(t *testing.T) {
	skipUnderRace(t)
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for _, k := range verdictKinds {
		for _, flushAfter := range []time.Duration{0, time.Hour} {
			// The count is the whole process's, and the runtime allocates too, now and
			// then; what is ours would show each time.
			least := uint64(math.MaxUint64)
			for try := 0; try < 5 && least > 0; try++ {
				least = min(least, allocsInRun(t, k.v, flushAfter))
			}
			if least > 0 {
				t.Errorf("%s, FlushAfter %v: %d allocations for %d packets", k.name, flushAfter, least, runPackets)
			}
		}
	}
}

// runPackets is how many packets allocsInRun counts the allocations of.
const runPackets = 200

// allocsInRun returns how often the process allocates while Run answers v.
func allocsInRun(t *testing.T, v nfqueue.Verdict, flushAfter time.Duration) uint64 {
	const warm, packets = 40, 40 + runPackets
	q := sink(t, nfqueue.Config{Batch: 8, FlushAfter: flushAfter}, packets)
	ctx, cancel := context.WithCancel(t.Context())
	var before, after runtime.MemStats
	err := q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch p.ID {
		case warm:
			runtime.ReadMemStats(&before)
		case packets:
			runtime.ReadMemStats(&after)
			cancel()
		}
		return v
	})
	if err != context.Canceled {
		t.Fatal(err)
	}
	return after.Mallocs - before.Mallocs
}

func TestNoAllocsPerHeldPacket(t *testing.T) {
	skipUnderRace(t)
	const runs = 50
	q := sink(t, nfqueue.Config{Batch: 1}, runs+2)
	b := q.NewBatch()
	cycle := func() {
		if err := q.Receive(b); err != nil {
			t.Fatal(err)
		}
		b.Verdicts[0] = nfqueue.Hold()
		ticket := b.Packets[0].Ticket()
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
		if err := ticket.SetVerdict(nfqueue.Accept()); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	if n := testing.AllocsPerRun(runs, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
