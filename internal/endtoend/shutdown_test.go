//go:build linux

package endtoend

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// shutDown is q.Shutdown, which must return nil in time.
func shutDown(t *testing.T, q *nfqueue.Queue) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	must(t, q.Shutdown(ctx))
}

// A backlog of thousands that the handler drops is dropped to the last, although
// the fallback would let it through: also what Configure took off the socket.
func TestShutdownLeavesTheBacklogToTheHandler(t *testing.T) {
	const packets = 3000
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{Fallback: nfqueue.Accept()})
	for range packets {
		send(t, l.from, "x")
	}
	must(t, l.queue.Configure(nfqueue.Config{Fallback: nfqueue.Accept()}))
	must(t, l.rule.Delete())
	began := make(chan struct{}, packets)
	ended := background(func() error {
		return l.queue.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
			began <- struct{}{}
			time.Sleep(10 * time.Microsecond)
			return nfqueue.Drop()
		})
	})
	next(t, began)
	shutDown(t, l.queue)
	wantError(t, "Run", next(t, ended), net.ErrClosed)
	if s := l.queue.Stats(); s.Packets != packets || s.Fallbacks != 0 || s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
	send(t, l.from, "through")
	wantReceived(t, l.to, "through")
}

// The rule stays, and packets keep coming: Shutdown ends all the same, and none of
// what was queued before is lost.
func TestShutdownUnderTraffic(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{Fallback: nfqueue.Accept()})
	marked := countMarks(t, l.net, 3)
	arrived := countArriving(l.to)
	stop := flood(t, l)
	held := make(chan nfqueue.Ticket, 1)
	ended := background(func() error {
		return l.queue.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID == 100 {
				held <- p.Ticket()
				return nfqueue.Hold()
			}
			return nfqueue.Accept()
		})
	})
	ticket := next(t, held)
	time.AfterFunc(50*time.Millisecond, func() {
		if err := ticket.SetVerdict(nfqueue.Accept().WithMark(3)); err != nil {
			t.Error(err)
		}
	})
	shutDown(t, l.queue)
	wantError(t, "Run", next(t, ended), net.ErrClosed)
	stop()
	await(t, "datagrams", func() bool { return arrived.Load() > 0 })
	wantPackets(t, marked, 1)
	if s := l.queue.Stats(); s.Gone != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Who polls the descriptor sees packets that something else took off the socket.
func TestPollSeesPacketsThatARequestMet(t *testing.T) {
	readable := func(q *nfqueue.Queue) (n int) {
		raw, err := q.SyscallConn()
		must(t, err)
		must(t, raw.Control(func(fd uintptr) { n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) }))
		return n
	}
	cfg := nfqueue.Config{Batch: 2}
	for name, meet := range map[string]func(t *testing.T, l *lane) *nfqueue.Queue{
		"Configure": func(t *testing.T, l *lane) *nfqueue.Queue {
			must(t, l.queue.Configure(cfg))
			return l.queue
		},
		"OpenConn": func(t *testing.T, l *lane) *nfqueue.Queue {
			conn, err := nfnl.FileConn(handOver(t, l.queue))
			must(t, err)
			q, err := nfqueue.OpenConn(conn, cfg)
			must(t, err)
			t.Cleanup(func() { q.Close() })
			return q
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLane(t, ipv4, lab.Input, cfg)
			send(t, l.from, "1", "2", "3", "4", "5")
			q := meet(t, l)
			for b, seen := q.NewBatch(), 0; seen < 5; {
				if readable(q) == 0 {
					t.Fatalf("nothing to read, with %d of 5 packets received", seen)
				}
				must(t, q.TryReceive(b))
				seen += len(b.Packets)
				for i := range b.Verdicts {
					b.Verdicts[i] = nfqueue.Accept()
				}
				must(t, q.Send(b))
			}
			wantReceived(t, l.to, "1", "2", "3", "4", "5")
			must(t, q.TryReceive(q.NewBatch()))
			if readable(q) != 0 {
				t.Error("there is something to read, and no packet")
			}
		})
	}
}

// The send buffer was made small when the queue was open: a rewrite that does not
// fit becomes the fallback, and all others arrive.
func TestVerdictThatTheSocketRefusesTakesNoOtherAlong(t *testing.T) {
	var told collector
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{Queue: 7, OnError: told.add})
	raw, err := l.queue.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 1) }))
	must(t, err)
	var want []string
	for i := range 20 {
		data := fmt.Sprintf("%02d", i) + strings.Repeat("x", 5998)
		send(t, l.from, data)
		if i != 10 {
			want = append(want, data)
		}
	}
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		if string(p.Payload[28:30]) == "10" {
			return nfqueue.Accept().WithPayload(p.Payload)
		}
		return nfqueue.Accept()
	})
	wantReceived(t, l.to, want...)
	if s := l.queue.Stats(); s.Refused != 1 || s.Fallbacks != 1 {
		t.Errorf("stats %+v", s)
	}
	await(t, "OnError", func() bool { return told.count(unix.EMSGSIZE) > 0 })
	told.wantOnly(t, unix.EMSGSIZE)
}

// What a program before has received from a socket waits in the kernel, and gets
// the verdict of the program that has the socket now.
func TestVerdictOnAllReachesWhatAProgramBeforeReceived(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	send(t, l.from, "received by the one before", "and held")
	before := l.queue.NewBatch()
	for seen := 0; seen < 2; seen += len(before.Packets) {
		must(t, l.queue.Receive(before))
		for i := range before.Verdicts {
			before.Verdicts[i] = nfqueue.Hold()
		}
	}
	conn, err := nfnl.FileConn(handOver(t, l.queue))
	must(t, err)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{})
	must(t, err)
	defer q.Close()
	send(t, l.from, "not received")
	must(t, q.SetVerdictAll(nfqueue.Accept()))
	wantReceived(t, l.to, "received by the one before", "and held", "not received")
	if s, err := q.KernelStats(); err == nil && s.Waiting != 0 {
		t.Errorf("the kernel says %+v", s)
	}
	must(t, q.SetVerdictAll(nfqueue.Accept())) // nothing
}

// Beside Configure, nil means that nothing waits.
func TestVerdictOnAllBesideConfigure(t *testing.T) {
	const packets = 2000
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	marked := countMarks(t, l.net, 5)
	for round := range uint64(5) {
		for range packets {
			send(t, l.from, "x")
		}
		configured := background(func() error { return l.queue.Configure(nfqueue.Config{}) })
		must(t, l.queue.SetVerdictAll(nfqueue.Accept().WithMark(5)))
		wantPackets(t, marked, (round+1)*packets)
		must(t, next(t, configured))
	}
}

// A packet that is accepted goes before one that is released later, by its
// ticket, in the same batch.
func TestPacketsArriveInTheOrderOfTheirVerdicts(t *testing.T) {
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{})
	send(t, l.from, "1", "2", "3", "4")
	var held nfqueue.Ticket
	n := 0
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch n++; n {
		case 2:
			held = p.Ticket()
			return nfqueue.Hold()
		case 3:
			if err := held.SetVerdict(nfqueue.Accept()); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept()
	})
	wantReceived(t, l.to, "1", "2", "3", "4")
}

// Ten packets wait when any base chain of the namespace is deleted, and five come
// after that: the ten are reported, although all are answered together.
func TestPacketsGoneAmongOthersAreCounted(t *testing.T) {
	var told collector
	l := newLane(t, ipv4, lab.Input, nfqueue.Config{Queue: 7, OnError: told.add})
	other, err := l.net.Chain(lab.IPv4, lab.Forward, 5)
	must(t, err)
	for range 10 {
		send(t, l.from, "gone")
	}
	must(t, other.Delete())
	send(t, l.from, "1", "2", "3", "4", "5")
	runQueue(t, l.queue, accept)
	wantReceived(t, l.to, "1", "2", "3", "4", "5")
	await(t, "the report", func() bool { return l.queue.Stats().Gone == 10 })
	await(t, "OnError", func() bool { return told.count(nfqueue.ErrPacketGone) > 0 })
	told.wantOnly(t, nfqueue.ErrPacketGone)
}
