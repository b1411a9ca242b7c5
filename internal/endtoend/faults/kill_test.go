//go:build linux

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// mark3 accepts what comes to queue 3 with a mark of 1, and reads group 3, until
// its standard input ends.
func mark3() error {
	r, err := nflog.Open(nflog.Config{Groups: []uint16{3}})
	if err != nil {
		return err
	}
	defer r.Close()
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3})
	if err != nil {
		return err
	}
	go readLog(r)
	go func() {
		io.Copy(io.Discard, os.Stdin)
		q.Close()
	}()
	fmt.Println("ready")
	err = endtoend.ReceiveLoop(q, nfqueue.Accept().WithMark(1))
	return fmt.Errorf("run: %w", err)
}

// readLog reads until the log is closed.
func readLog(r *nflog.Reader) {
	for b := r.NewBatch(); r.Receive(b) == nil; {
	}
}

// A process that is killed in the middle of its work takes with it the packets
// that it has not decided on. What comes then goes past if the rule says bypass,
// and nowhere if it does not. Once the process is gone, and not before, another can
// open the queue.
func TestKilledProcessIsReplacedOnceItIsGone(t *testing.T) {
	for name, c := range map[string]struct {
		flags  []lab.QueueFlag
		passes bool
	}{
		"bypass":    {[]lab.QueueFlag{lab.Bypass}, true},
		"no bypass": {nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			endtoend.AddRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(3, "", 0, 1), lab.Queue(3, c.flags...))
			unmarked, marked := endtoend.CountMark(t, n, 0), []*lab.Rule{endtoend.CountMark(t, n, 1), endtoend.CountMark(t, n, 2)}
			h, err := endtoend.StartProcess(t, n, "marker", nil)
			testkit.Must(t, err)
			if got := h.NextLine(t); got != "ready" {
				t.Fatalf("the helper says %q", got)
			}
			to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
			arrived := endtoend.CountArriving(to)
			endtoend.Flood(t, from)
			endtoend.AwaitMore(t, marked[0], 200)
			endtoend.WantPackets(t, unmarked, 0)

			testkit.Must(t, h.Process.Kill())
			h.Wait() // for its sockets are closed at its end, which takes a while
			if c.passes {
				endtoend.AwaitMore(t, unmarked, 200)
			}
			q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
			r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{3}, Threshold: 1})
			go endtoend.ReceiveLoop(q, nfqueue.Accept().WithMark(2))
			endtoend.AwaitMore(t, marked[1], 200)
			if !c.passes {
				endtoend.WantPackets(t, unmarked, 0)
			}
			before := arrived.Load()
			testkit.Await(t, "datagrams", func() bool { return arrived.Load() > before })
			if p := endtoend.NextLogged(t, r, 1)[0]; p.Seq != 0 {
				t.Errorf("the first packet logged is number %d", p.Seq)
			}
			if s := q.Stats(); s.Gone+s.Refused+s.Malformed != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// holdAll3 holds all packets of queue 3, and sends its socket through descriptor 3.
func holdAll3() error {
	q, err := nfqueue.Open(nfqueue.Config{Queue: 3, FailOpen: true})
	if err != nil {
		return err
	}
	raw, err := q.SyscallConn()
	if err != nil {
		return err
	}
	if e := raw.Control(func(fd uintptr) { err = unix.Sendmsg(3, []byte("socket"), unix.UnixRights(int(fd)), nil, 0) }); e != nil || err != nil {
		return errors.Join(e, err)
	}
	return q.Run(context.Background(), func(*nfqueue.Packet) nfqueue.Verdict {
		fmt.Println("held")
		return nfqueue.Hold()
	})
}

// What a killed program has not decided is dropped, whatever FailOpen and the rule's
// bypass flag say of later packets; but it waits as long as another process has the
// socket too, as a child that was given it.
func TestKilledProgramLeavesPacketsToWhoHasItsSocket(t *testing.T) {
	for name, shared := range map[string]bool{"nobody": false, "another process": true} {
		t.Run(name, func(t *testing.T) {
			n := endtoend.NewNet(t)
			endtoend.AddRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Queue(3, lab.Bypass))
			to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
			near, far := unixPair(t)
			h, err := endtoend.StartProcess(t, n, "holder", nil, far)
			testkit.Must(t, err)
			socket := receiveFiles(t, near)[0]
			endtoend.Send(t, from, "one", "two", "three")
			for range 3 {
				if got := h.NextLine(t); got != "held" {
					t.Fatalf("the program says %q", got)
				}
			}
			if !shared {
				testkit.Must(t, socket.Close())
			}
			testkit.Must(t, h.Process.Kill())
			h.Wait() // returns an error: it was killed

			endtoend.Send(t, from, "four")
			if !shared {
				endtoend.WantReceived(t, to, "four")
				endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3})
				return
			}
			if _, err := nfqueue.Open(nfqueue.Config{Queue: 3, Socket: nfnl.Config{NetNS: n.FD()}}); !errors.Is(err, nfqueue.ErrTaken) {
				t.Errorf("the queue is open to others: %v", err)
			}
			conn, err := nfnl.FileConn(socket)
			testkit.Must(t, err)
			q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 3})
			testkit.Must(t, err)
			defer q.Close()
			testkit.Must(t, q.SetVerdictAll(nfqueue.Accept()))
			endtoend.WantReceived(t, to, "one", "two", "three", "four")
		})
	}
}
