//go:build linux

package endtoend

import (
	"errors"
	"os"
	"testing"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A process in the network namespace opens the sockets, hands them over through
// a Unix socket and ends. Log records are then read without any privilege, and
// verdicts given with it, by a program that is elsewhere.
func TestSocketsFromAProcessElsewhere(t *testing.T) {
	n := newNet(t)
	addRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(3, "", 0, 0), lab.Queue(3))
	to, from := udpPair(t, n, "udp", ipv4.address())
	near, far := unixPair(t)
	h, err := startHelper(t, n, "opener", nil, far)
	must(t, err)
	files := receiveFiles(t, near)
	if len(files) != 2 {
		t.Fatalf("%d sockets; the helper says %q", len(files), h.next(t))
	}
	must(t, h.Wait())
	send(t, from, "before") // waits for somebody

	conn, err := nfnl.FileConn(files[0])
	must(t, err)
	var told collector
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 3, OnError: told.add})
	must(t, err)
	defer q.Close()
	var r *nflog.Reader
	must(t, withoutCapabilities(t, func() error {
		conn, err := nfnl.FileConn(files[1])
		if err != nil {
			return err
		}
		r, err = nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{3}, OnError: told.add}, nil)
		return err
	}))
	defer r.Close()
	for _, f := range files {
		must(t, f.Close()) // the library has copies
	}

	verdict, tail := nfqueue.Accept().WithPayload, "!"
	if confined(t) {
		verdict, tail = func([]byte) nfqueue.Verdict { return nfqueue.Accept() }, ""
	}
	runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return verdict(append(p.Payload, '!'))
	})
	send(t, from, "after")
	wantReceived(t, to, "before"+tail, "after"+tail)
	records := loggedWithoutCapabilities(t, r, 2)
	if got := ipv4.bodies(records); got[0] != "before" || got[1] != "after" {
		t.Errorf("logged %q", got)
	}
	lo, err := n.Index("lo")
	must(t, err)
	if records[0].OutDev != lo || len(told.errs) != 0 {
		t.Errorf("by device %d, want %d; OnError was told %v", records[0].OutDev, lo, told.errs)
	}
	if k, ok := kernelStats(t, q); ok && (k.Queue != 3 || k.LastID != 2 || k.Waiting != 0) {
		t.Errorf("the kernel says %+v", k)
	}

	// A thread without the privilege can neither take over a queue nor decide.
	must(t, withoutCapabilities(t, func() error {
		if err := q.Configure(nfqueue.Config{Queue: 3}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("Configure: %v, want os.ErrPermission", err)
		}
		return nil
	}))
	must(t, q.Close())
	must(t, r.Close())
	openQueue(t, n, nfqueue.Config{Queue: 3}) // given back with the last copy
	openLog(t, n, nflog.Config{Groups: []uint16{3}})
}
