//go:build linux

package queue

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// edges returns a channel that has an element whenever the descriptor of a queue has
// become readable, as an event loop with EPOLLET is told.
func edges(t *testing.T, q *nfqueue.Queue) <-chan bool {
	t.Helper()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	testkit.Must(t, err)
	f := endtoend.DupDescriptor(t, q)
	testkit.Must(t, unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, int(f.Fd()), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}))
	edge, stop := make(chan bool, 100), make(chan bool)
	ended := testkit.Background(func() error {
		for events := make([]unix.EpollEvent, 1); ; {
			if n, _ := unix.EpollWait(ep, events, 10); n > 0 {
				edge <- true
			}
			select {
			case <-stop:
				return unix.Close(ep)
			default:
			}
		}
	})
	t.Cleanup(func() { close(stop); testkit.Must(t, testkit.Next(t, ended)) })
	return edge
}

// An event loop that is told once of what is readable, and finds nothing because
// Shutdown waits for the packets it has, is told again: the packet that a held one waits
// for may be among what came.
func TestEventLoopIsToldOfWhatCameDuringShutdown(t *testing.T) {
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	edge := edges(t, l.Queue)
	receive := func(b *nfqueue.Batch) int {
		testkit.Must(t, l.Queue.TryReceive(b))
		return len(b.Packets)
	}
	next := func(b *nfqueue.Batch) {
		t.Helper()
		for receive(b) == 0 {
			testkit.Next(t, edge)
		}
	}
	accept := func(b *nfqueue.Batch) {
		t.Helper()
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept()
		}
		testkit.Must(t, l.Queue.Send(b))
	}
	first, slow := l.Queue.NewBatch(), l.Queue.NewBatch()
	endtoend.Send(t, l.From, "held")
	next(first)
	ticket := first.Packets[0].Ticket()
	first.Verdicts[0] = nfqueue.Hold()
	testkit.Must(t, l.Queue.Send(first))
	endtoend.Send(t, l.From, "slow")
	next(slow)
	for receive(first) > 0 { // as an event loop must
	}

	down := testkit.Background(func() error { return endtoend.Shutdown(l.Queue) })
	testkit.Await(t, "Shutdown waits", func() bool { return l.Queue.Configure(nfqueue.Config{}) != nil })
	for n := 1; n > 0; { // what comes before Shutdown looks is received
		for len(edge) > 0 {
			<-edge
		}
		endtoend.Send(t, l.From, "awaited")
		testkit.Next(t, edge)
		if n = receive(first); n > 0 {
			accept(first)
		}
	}
	accept(slow)
	next(first) // and it is told
	accept(first)
	testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
	testkit.Must(t, testkit.Next(t, down))
	if s := l.Queue.Stats(); s.Fallbacks != 0 {
		t.Errorf("%d packets got the fallback", s.Fallbacks)
	}
}
