//go:build linux

package nfpacket

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestMain(m *testing.M) { os.Exit(lab.TestMain(m)) }

// What the test below uses in its network namespace.
const (
	address  = "127.0.0.1:9999"
	queueNum = 7
	logGroup = 5
	mark     = 0x7
	patience = 20 * time.Second
)

// The library in one test, on packets of the running kernel: a rule queues them,
// the handler drops some and marks the others, and a later rule logs what has
// the mark. The tests of all the rest are in internal/endtoend.
func TestQueuedPacketsAreDecidedAndLogged(t *testing.T) {
	lab.Require(t)
	n, err := lab.NewNet()
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	socket := nfnl.Config{NetNS: n.FD()}
	q, err := nfqueue.Open(nfqueue.Config{Queue: queueNum, Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer q.Close()
	r, err := nflog.Open(nflog.Config{Groups: []uint16{logGroup}, Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := addRules(n); err != nil {
		t.Fatal(err)
	}

	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		ended <- q.Run(ctx, func(p *nfqueue.Packet) nfqueue.Verdict {
			if bytes.Contains(p.Payload, []byte("secret")) {
				return nfqueue.Drop()
			}
			return nfqueue.Accept().WithMark(mark)
		})
	}()

	want := []string{"hello", "goodbye"}
	if got, err := exchange(n, []string{"hello", "secret", "goodbye"}, len(want)); err != nil || !slices.Equal(got, want) {
		t.Errorf("received %q, %v; want %q", got, err, want)
	}
	if got, err := logged(ctx, r, len(want)); err != nil || !slices.Equal(got, want) {
		t.Errorf("logged %q, %v; want %q", got, err, want)
	}
	stop()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("Run ended with %v", err)
	}
	if s := q.Stats(); s.Packets != 3 || s.Lost != 0 {
		t.Errorf("%d packets were decided and %d lost, of 3", s.Packets, s.Lost)
	}
}

// addRules queues packets on their way out, and logs those of them that come
// back with the mark.
func addRules(n *lab.Net) error {
	first, err := n.Chain(lab.IPv4, lab.Output, 0)
	if err != nil {
		return err
	}
	second, err := n.Chain(lab.IPv4, lab.Output, 1)
	if err != nil {
		return err
	}
	_, err1 := first.Add(lab.UDP(9999), lab.Queue(queueNum))
	_, err2 := second.Add(lab.Mark(mark), lab.Log(logGroup, "marked", 0, 0))
	return errors.Join(err1, err2)
}

// exchange sends datagrams and returns the first count that arrive.
func exchange(n *lab.Net, datagrams []string, count int) (arrived []string, err error) {
	to, err := n.ListenPacket("udp", address)
	if err != nil {
		return nil, err
	}
	defer to.Close()
	from, err := n.Dial("udp", address)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	for _, d := range datagrams {
		if _, err := from.Write([]byte(d)); err != nil {
			return nil, err
		}
	}
	b := make([]byte, 100)
	err = to.SetReadDeadline(time.Now().Add(patience))
	for err == nil && len(arrived) < count {
		var length int
		if length, _, err = to.ReadFrom(b); err == nil {
			arrived = append(arrived, string(b[:length]))
		}
	}
	return arrived, err
}

// logged returns what the next count logged datagrams carry.
func logged(ctx context.Context, r *nflog.Reader, count int) (bodies []string, err error) {
	const headers = 20 + 8 // of IPv4 and of UDP
	for p, err := range r.Packets(ctx) {
		if err != nil {
			return bodies, err
		}
		if bodies = append(bodies, string(p.Payload[headers:])); len(bodies) == count {
			break
		}
	}
	return bodies, nil
}
