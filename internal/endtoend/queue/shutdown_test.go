//go:build linux

package queue

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A backlog of thousands that the handler drops is dropped to the last, although
// the fallback would let it through: also what Configure took off the socket.
func TestShutdownLeavesTheBacklogToTheHandler(t *testing.T) {
	const packets = 3000
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Fallback: nfqueue.Accept()})
	for range packets {
		endtoend.Send(t, l.From, "x")
	}
	testkit.Must(t, l.Queue.Configure(nfqueue.Config{Fallback: nfqueue.Accept()}))
	testkit.Must(t, l.Rule.Delete())
	began := make(chan struct{}, packets)
	ended := testkit.Background(func() error {
		return l.Queue.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
			began <- struct{}{}
			time.Sleep(10 * time.Microsecond)
			return nfqueue.Drop()
		})
	})
	testkit.Next(t, began)
	testkit.Must(t, endtoend.Shutdown(l.Queue))
	testkit.WantError(t, "Run", testkit.Next(t, ended), net.ErrClosed)
	if s := l.Queue.Stats(); s.Packets != packets || s.Fallbacks != 0 || s.Gone != 0 {
		t.Errorf("stats %+v", s)
	}
	endtoend.Send(t, l.From, "through")
	endtoend.WantReceived(t, l.To, "through")
}

// The rule stays, and packets keep coming: Shutdown ends all the same, and none of
// what was queued before is lost.
func TestShutdownUnderTraffic(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Fallback: nfqueue.Accept()})
	marked := endtoend.CountMark(t, l.Net, 3)
	arrived := endtoend.CountArriving(l.To)
	stop := endtoend.Flood(t, l.From)
	held := make(chan nfqueue.Ticket, 1)
	ended := testkit.Background(func() error {
		return l.Queue.Run(context.Background(), func(p *nfqueue.Packet) nfqueue.Verdict {
			if p.ID == 100 {
				held <- p.Ticket()
				return nfqueue.Hold()
			}
			return nfqueue.Accept()
		})
	})
	ticket := testkit.Next(t, held)
	time.AfterFunc(50*time.Millisecond, func() {
		if err := ticket.SetVerdict(nfqueue.Accept().WithMark(3)); err != nil {
			t.Error(err)
		}
	})
	testkit.Must(t, endtoend.Shutdown(l.Queue))
	testkit.WantError(t, "Run", testkit.Next(t, ended), net.ErrClosed)
	stop()
	testkit.Await(t, "datagrams", func() bool { return arrived.Load() > 0 })
	endtoend.WantPackets(t, marked, 1)
	if s := l.Queue.Stats(); s.Gone != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Who polls the descriptor sees packets that something else took off the socket.
func TestPollSeesPacketsThatARequestMet(t *testing.T) {
	readable := func(q *nfqueue.Queue) (n int) {
		raw, err := q.SyscallConn()
		testkit.Must(t, err)
		testkit.Must(t, raw.Control(func(fd uintptr) { n, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0) }))
		return n
	}
	cfg := nfqueue.Config{Batch: 2}
	for name, meet := range map[string]func(t *testing.T, l *endtoend.QueuedUDP) *nfqueue.Queue{
		"Configure": func(t *testing.T, l *endtoend.QueuedUDP) *nfqueue.Queue {
			testkit.Must(t, l.Queue.Configure(cfg))
			return l.Queue
		},
		"OpenConn": func(t *testing.T, l *endtoend.QueuedUDP) *nfqueue.Queue {
			conn, err := nfnl.FileConn(endtoend.DupDescriptor(t, l.Queue))
			testkit.Must(t, err)
			q, err := nfqueue.OpenConn(conn, cfg)
			testkit.Must(t, err)
			t.Cleanup(func() { q.Close() })
			return q
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, cfg)
			endtoend.Send(t, l.From, "1", "2", "3", "4", "5")
			q := meet(t, l)
			for b, seen := q.NewBatch(), 0; seen < 5; {
				if readable(q) == 0 {
					t.Fatalf("nothing to read, with %d of 5 packets received", seen)
				}
				testkit.Must(t, q.TryReceive(b))
				seen += len(b.Packets)
				for i := range b.Verdicts {
					b.Verdicts[i] = nfqueue.Accept()
				}
				testkit.Must(t, q.Send(b))
			}
			endtoend.WantReceived(t, l.To, "1", "2", "3", "4", "5")
			testkit.Must(t, q.TryReceive(q.NewBatch()))
			if readable(q) != 0 {
				t.Error("there is something to read, and no packet")
			}
		})
	}
}

// The send buffer was made small when the queue was open: a rewrite that does not
// fit becomes the fallback, and all others arrive.
func TestVerdictThatTheSocketRefusesTakesNoOtherAlong(t *testing.T) {
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Queue: 7, OnError: reported.Add})
	raw, err := l.Queue.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_SNDBUF, 1) }))
	testkit.Must(t, err)
	var want []string
	for i := range 20 {
		data := fmt.Sprintf("%02d", i) + strings.Repeat("x", 5998)
		endtoend.Send(t, l.From, data)
		if i != 10 {
			want = append(want, data)
		}
	}
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		if string(p.Payload[28:30]) == "10" {
			return nfqueue.Accept().WithPayload(p.Payload)
		}
		return nfqueue.Accept()
	})
	endtoend.WantReceived(t, l.To, want...)
	if s := l.Queue.Stats(); s.Refused != 1 || s.Fallbacks != 1 {
		t.Errorf("stats %+v", s)
	}
	testkit.Await(t, "OnError", func() bool { return reported.Count(unix.EMSGSIZE) > 0 })
	reported.WantOnly(t, unix.EMSGSIZE)
}

// What a program before has received from a socket waits in the kernel, and gets
// the verdict of the program that has the socket now.
func TestVerdictOnAllReachesWhatAProgramBeforeReceived(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.Send(t, l.From, "received by the one before", "and held")
	before := l.Queue.NewBatch()
	for seen := 0; seen < 2; seen += len(before.Packets) {
		testkit.Must(t, l.Queue.Receive(before))
		for i := range before.Verdicts {
			before.Verdicts[i] = nfqueue.Hold()
		}
	}
	conn, err := nfnl.FileConn(endtoend.DupDescriptor(t, l.Queue))
	testkit.Must(t, err)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{})
	testkit.Must(t, err)
	defer q.Close()
	endtoend.Send(t, l.From, "not received")
	testkit.Must(t, q.SetVerdictAll(nfqueue.Accept()))
	endtoend.WantReceived(t, l.To, "received by the one before", "and held", "not received")
	if s, err := q.KernelStats(); err == nil && s.Waiting != 0 {
		t.Errorf("the kernel says %+v", s)
	}
	testkit.Must(t, q.SetVerdictAll(nfqueue.Accept())) // nothing
}

// Beside Configure, nil means that nothing waits.
func TestVerdictOnAllBesideConfigure(t *testing.T) {
	const packets = 2000
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	marked := endtoend.CountMark(t, l.Net, 5)
	for round := range uint64(5) {
		for range packets {
			endtoend.Send(t, l.From, "x")
		}
		configured := testkit.Background(func() error { return l.Queue.Configure(nfqueue.Config{}) })
		testkit.Must(t, l.Queue.SetVerdictAll(nfqueue.Accept().WithMark(5)))
		endtoend.WantPackets(t, marked, (round+1)*packets)
		testkit.Must(t, testkit.Next(t, configured))
	}
}

// A packet that is accepted goes before one that is released later, by its
// ticket, in the same batch.
func TestPacketsArriveInTheOrderOfTheirVerdicts(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.Send(t, l.From, "1", "2", "3", "4")
	var held nfqueue.Ticket
	n := 0
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
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
	endtoend.WantReceived(t, l.To, "1", "2", "3", "4")
}

// A Receive loop gives its verdicts in Send, also one by ticket before that.
func TestPacketsOfAReceiveLoopArriveInTheOrderOfTheirVerdicts(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.Send(t, l.From, "1", "2", "3", "4")
	b := l.Queue.NewBatch()
	testkit.Must(t, l.Queue.Receive(b))
	if len(b.Packets) != 4 {
		t.Fatalf("received %d packets", len(b.Packets))
	}
	for i := range b.Verdicts {
		b.Verdicts[i] = nfqueue.Accept()
	}
	b.Verdicts[1] = nfqueue.Hold()
	testkit.Must(t, b.Packets[1].Ticket().SetVerdict(nfqueue.Accept()))
	testkit.Must(t, l.Queue.Send(b))
	endtoend.WantReceived(t, l.To, "1", "2", "3", "4")
}

// Ten packets wait when any base chain of the namespace is deleted, and five come
// after that: the ten are reported, although all are answered together.
func TestPacketsGoneAmongOthersAreCounted(t *testing.T) {
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Queue: 7, OnError: reported.Add})
	other, err := l.Net.Chain(lab.IPv4, lab.Forward, 5)
	testkit.Must(t, err)
	for range 10 {
		endtoend.Send(t, l.From, "gone")
	}
	testkit.Must(t, other.Delete())
	endtoend.Send(t, l.From, "1", "2", "3", "4", "5")
	endtoend.RunQueue(t, l.Queue, endtoend.Accept)
	endtoend.WantReceived(t, l.To, "1", "2", "3", "4", "5")
	testkit.Await(t, "the report", func() bool { return l.Queue.Stats().Gone == 10 })
	testkit.Await(t, "OnError", func() bool { return reported.Count(nfqueue.ErrPacketGone) > 0 })
	reported.WantOnly(t, nfqueue.ErrPacketGone)
}
