//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A handler that ends in the middle of a batch takes nothing with it: what it
// has decided is done, the rest gets the fallback, and the queue goes on.
func TestHandlerThatEndsLeavesNothingInTheKernel(t *testing.T) {
	for name, end := range map[string]struct {
		end       func()
		recovered any
	}{
		"panic":          {func() { panic("out of the handler") }, "out of the handler"},
		"runtime.Goexit": {runtime.Goexit, nil},
	} {
		t.Run(name, func(t *testing.T) {
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{Fallback: nfqueue.Accept().WithMark(9)})
			later, err := l.Net.Chain(lab.IPv4, lab.Input, 10)
			testkit.Must(t, err)
			marked, err := later.Add(lab.UDP(9999), lab.Mark(9))
			testkit.Must(t, err)
			endtoend.SendNumbers(t, l.From, 0, 5)

			ended := make(chan any, 1)
			go func() {
				defer func() { ended <- recover() }()
				calls := 0
				l.Queue.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
					if calls++; calls == 3 {
						end.end()
					}
					return nfqueue.Accept()
				})
			}()
			if got := testkit.Next(t, ended); got != end.recovered {
				t.Errorf("recovered %v, want %v", got, end.recovered)
			}
			endtoend.WantReceived(t, l.To, "0", "1", "2", "3", "4")
			endtoend.WantPackets(t, marked, 3)
			if k, ok := endtoend.KernelStats(t, l.Queue); ok && k.Waiting != 0 {
				t.Errorf("%d packets wait in the kernel", k.Waiting)
			}
			if n := l.Queue.Stats().Fallbacks; n != 3 {
				t.Errorf("%d fallbacks, want 3", n)
			}

			endtoend.RunQueue(t, l.Queue, endtoend.Accept)
			endtoend.Send(t, l.From, "again")
			endtoend.WantReceived(t, l.To, "again")
		})
	}
}

// Held packets expire in a goroutine of a timer's, where nobody can recover. What
// is told there is that the verdicts cannot be sent.
func TestPanicInOnErrorOfATimerEndsTheProgram(t *testing.T) {
	n := endtoend.NewNet(t)
	h, err := endtoend.StartProcess(t, n, "panicky", nil)
	testkit.Must(t, err)
	if line := h.NextLine(t); line != "ready" {
		t.Fatal(line)
	}
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(3))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, from, "held")
	var exit *exec.ExitError
	if err := testkit.Next(t, testkit.Background(h.Wait)); !errors.As(err, &exit) || exit.ExitCode() != 2 { // the runtime's
		t.Errorf("the program ended with %v", err)
	}
}

// panicInTimer holds a packet for no time, and takes the socket away.
func panicInTimer() error {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3, OnError: func(err error) { panic(err) }})
	if err != nil {
		return err
	}
	socket, err := q.SyscallConn()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	unix.Dup3(int(null.Fd()), 2, 0) // the trace of the panic is for nobody
	fmt.Println("ready")
	b := q.NewBatch()
	if err := q.Receive(b); err != nil {
		return err
	}
	socket.Control(func(fd uintptr) { err = unix.Dup3(int(null.Fd()), int(fd), unix.O_CLOEXEC) })
	if err != nil {
		return err
	}
	b.Verdicts[0] = nfqueue.HoldFor(0, nfqueue.Accept())
	if err := q.Send(b); err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, os.Stdin) // for longer than that takes
	return err
}

// While a handler blocks, what it has decided before is on its way.
func TestSlowHandlerHoldsNoDecidedPacketsUp(t *testing.T) {
	const packets = 4
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.SendNumbers(t, l.From, 0, packets) // one batch
	arrived := make(chan struct{})
	n := 0
	endtoend.RunQueue(t, l.Queue, func(*nfqueue.Packet) nfqueue.Verdict {
		if n++; n > 1 {
			<-arrived
		}
		return nfqueue.Accept()
	})
	defer close(arrived)
	for i := range packets {
		endtoend.WantReceived(t, l.To, fmt.Sprint(i))
		if i < packets-1 {
			arrived <- struct{}{}
		}
	}
}

// A handler that blocks delays the packets that came with it, unless somebody
// else decides on them, and those that come later, unless another Run takes
// them. None is lost.
func TestBlockedHandlerDelaysOnlyWhatIsBehindIt(t *testing.T) {
	const together, later = 3, 100
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{})
	endtoend.SendNumbers(t, l.From, 0, together) // one batch
	blocked, release := make(chan uint32, together), make(chan struct{})
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		blocked <- p.ID
		<-release
		return nfqueue.Accept()
	})
	first := testkit.Next(t, blocked)

	for range later {
		endtoend.Send(t, l.From, "later")
	}
	if k, ok := endtoend.KernelStats(t, l.Queue); ok && k.Waiting != together+later {
		t.Errorf("%d packets wait, want %d", k.Waiting, together+later)
	}
	testkit.Must(t, l.Queue.SetVerdict(first+2, nfqueue.Accept()))
	endtoend.WantReceived(t, l.To, "2")
	stop := endtoend.RunQueue(t, l.Queue, endtoend.Accept) // takes what is still on the socket
	for range later {
		endtoend.WantReceived(t, l.To, "later")
	}
	stop()

	close(release)
	endtoend.WantReceived(t, l.To, "0", "1")
	if s := l.Queue.Stats(); s.Packets != together+later || s.Lost+s.Gone+s.Fallbacks != 0 {
		t.Errorf("stats %+v", s)
	}
}
