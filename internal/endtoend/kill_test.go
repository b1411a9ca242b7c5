//go:build linux

package endtoend

import (
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfqueue"
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
	err = receiveForever(q, nfqueue.Accept().WithMark(1))
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
			n := newNet(t)
			addRule(t, n, lab.IPv4, lab.Input, lab.UDP(9999), lab.Log(3, "", 0, 1), lab.Queue(3, c.flags...))
			unmarked, marked := countMarks(t, n, 0), []*lab.Rule{countMarks(t, n, 1), countMarks(t, n, 2)}
			h, err := startHelper(t, n, "marker", nil)
			must(t, err)
			if got := h.next(t); got != "ready" {
				t.Fatalf("the helper says %q", got)
			}
			to, from := udpPair(t, n, "udp", ipv4.address())
			arrived := countArriving(to)
			flood(t, &lane{from: from})
			awaitMore(t, marked[0], 200)
			wantPackets(t, unmarked, 0)

			must(t, h.Process.Kill())
			h.Wait() // for its sockets are closed at its end, which takes a while
			if c.passes {
				awaitMore(t, unmarked, 200)
			}
			q := openQueue(t, n, nfqueue.Config{Queue: 3})
			r := openLog(t, n, nflog.Config{Groups: []uint16{3}, Threshold: 1})
			go receiveForever(q, nfqueue.Accept().WithMark(2))
			awaitMore(t, marked[1], 200)
			if !c.passes {
				wantPackets(t, unmarked, 0)
			}
			before := arrived.Load()
			await(t, "datagrams", func() bool { return arrived.Load() > before })
			if p := logged(t, r, 1)[0]; p.Seq != 0 {
				t.Errorf("the first packet logged is number %d", p.Seq)
			}
			if s := q.Stats(); s.Gone+s.Refused+s.Malformed != 0 {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

// countMarks counts the packets of a mark that have passed the queues.
func countMarks(t *testing.T, n *lab.Net, mark uint32) *lab.Rule {
	t.Helper()
	later, err := n.Chain(lab.IPv4, lab.Input, 10)
	must(t, err)
	r, err := later.Add(lab.UDP(9999), lab.Mark(mark))
	must(t, err)
	return r
}

// awaitMore waits until a rule has met n packets more.
func awaitMore(t *testing.T, r *lab.Rule, n uint64) {
	t.Helper()
	before, err := r.Packets()
	must(t, err)
	await(t, fmt.Sprintf("%d packets more", n), func() bool {
		now, err := r.Packets()
		must(t, err)
		return now >= before+n
	})
}

// countArriving counts the datagrams that pc gets, until it is closed.
func countArriving(pc net.PacketConn) *atomic.Int64 {
	n := new(atomic.Int64)
	go func() {
		b := make([]byte, 64)
		for {
			if _, _, err := pc.ReadFrom(b); err != nil {
				return
			}
			n.Add(1)
		}
	}()
	return n
}
