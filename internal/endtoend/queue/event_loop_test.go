//go:build linux

package queue

import (
	"context"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// edges returns a channel that has an element whenever the descriptor of a queue has
// become readable, as epoll reports it with EPOLLET.
func edges(t *testing.T, q *nfqueue.Queue) <-chan bool {
	t.Helper()
	ep, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	testkit.Must(t, err)
	f := endtoend.DupDescriptor(t, q)
	testkit.Must(t, unix.EpollCtl(ep, unix.EPOLL_CTL_ADD, int(f.Fd()), &unix.EpollEvent{Events: unix.EPOLLIN | unix.EPOLLET}))
	edge, stop := make(chan bool, 1), make(chan bool)
	ended := testkit.Background(func() error {
		for events := make([]unix.EpollEvent, 1); ; {
			if n, _ := unix.EpollWait(ep, events, 10); n > 0 {
				select {
				case edge <- true:
				default: // an element is there already
				}
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

// An event loop is notified once, and receives nothing because Shutdown waits for the
// packets it has. It is notified again, because a held packet may wait for a later one.
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
			acceptBatch(t, l.Queue, first)
		}
	}
	acceptBatch(t, l.Queue, slow)
	next(first) // and the loop is notified
	acceptBatch(t, l.Queue, first)
	testkit.Must(t, ticket.SetVerdict(nfqueue.Accept()))
	testkit.Must(t, testkit.Next(t, down))
	if s := l.Queue.Stats(); s.Fallbacks != 0 {
		t.Errorf("%d packets got the fallback", s.Fallbacks)
	}
}

// A thread in poll keeps the socket open in the kernel. When the queue is closed, poll
// returns, and the queue is unbound.
func TestCloseEndsAnEventLoop(t *testing.T) {
	for name, c := range map[string]struct {
		end func(q *nfqueue.Queue) error
		run bool // beside the loop
	}{
		"Close":               {(*nfqueue.Queue).Close, false},
		"Shutdown":            {func(q *nfqueue.Queue) error { return endtoend.Shutdown(q) }, false},
		"Close, beside a Run": {(*nfqueue.Queue).Close, true},
	} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
			if c.run {
				ended := testkit.Background(func() error { return q.Run(context.Background(), endtoend.Accept) })
				defer func() { testkit.WantError(t, "Run", testkit.Next(t, ended), net.ErrClosed) }()
			}
			raw, err := q.SyscallConn()
			testkit.Must(t, err)
			var fds [1]unix.PollFd
			testkit.Must(t, raw.Control(func(fd uintptr) { fds[0] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN} }))
			b := q.NewBatch()
			loop := testkit.Background(func() error {
				for {
					if _, err := unix.Poll(fds[:], int(2*testkit.Patience/time.Millisecond)); err != nil && err != unix.EINTR {
						return err
					}
					if err := q.TryReceive(b); err != nil {
						return err
					}
				}
			})
			time.Sleep(10 * time.Millisecond) // until it waits
			testkit.Must(t, c.end(q))
			testkit.WantError(t, "loop", testkit.Next(t, loop), net.ErrClosed)
			endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
		})
	}
}
