//go:build linux

package faults

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A process in the network namespace opens the sockets, hands them over through
// a Unix socket and ends. Log records are then read without any privilege, and
// verdicts given with it, by a program that is elsewhere.
func TestSocketsFromAProcessElsewhere(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(3, "", 0, 0), lab.Queue(3))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	near, far := unixPair(t)
	h, err := endtoend.StartProcess(t, n, "opener", nil, far)
	testkit.Must(t, err)
	files := receiveFiles(t, near)
	if len(files) != 2 {
		t.Fatalf("%d sockets; the helper says %q", len(files), h.NextLine(t))
	}
	testkit.Must(t, h.Wait())
	endtoend.Send(t, from, "before") // waits for somebody

	conn, err := nfnl.FileConn(files[0])
	testkit.Must(t, err)
	var reported testkit.Errors
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 3, OnError: reported.Add})
	testkit.Must(t, err)
	defer q.Close()
	var r *nflog.Reader
	testkit.Must(t, endtoend.WithoutCapabilities(t, func() error {
		conn, err := nfnl.FileConn(files[1])
		if err != nil {
			return err
		}
		r, err = nflog.AdoptConn(conn, nflog.Config{Groups: []uint16{3}, OnError: reported.Add}, nil)
		return err
	}))
	defer r.Close()
	for _, f := range files {
		testkit.Must(t, f.Close()) // the library has copies
	}

	verdict, tail := nfqueue.Accept().WithPayload, "!"
	if endtoend.ForbidsRewrites(t) {
		verdict, tail = func([]byte) nfqueue.Verdict { return nfqueue.Accept() }, ""
	}
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		return verdict(append(p.Payload, '!'))
	})
	endtoend.Send(t, from, "after")
	endtoend.WantReceived(t, to, "before"+tail, "after"+tail)
	records := endtoend.NextLoggedWithoutCapabilities(t, r, 2)
	if got := endtoend.IPv4.Bodies(records); got[0] != "before" || got[1] != "after" {
		t.Errorf("logged %q", got)
	}
	lo, err := n.Index("lo")
	testkit.Must(t, err)
	if records[0].OutDev != lo || len(reported.All()) != 0 {
		t.Errorf("by device %d, want %d; OnError was called with %v", records[0].OutDev, lo, reported.All())
	}
	if k, ok := endtoend.KernelStats(t, q); ok && (k.Queue != 3 || k.LastID != 2 || k.Waiting != 0) {
		t.Errorf("the kernel says %+v", k)
	}

	// A thread without the privilege can neither take over a queue nor decide.
	testkit.Must(t, endtoend.WithoutCapabilities(t, func() error {
		if err := q.Configure(nfqueue.Config{Queue: 3}); !errors.Is(err, os.ErrPermission) {
			t.Errorf("Configure: %v, want os.ErrPermission", err)
		}
		return nil
	}))
	testkit.Must(t, q.Close())
	testkit.Must(t, r.Close())
	endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 3}) // unbound with the last copy
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{3}})
}

// Who had the socket before has bound the queue, and was killed before it read the
// kernel's answer. The next takes the queue over with its own configuration, and the
// numbers of the packets that came before are no loss.
func TestAnswerToTheFormerHolderIsNotTaken(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(3))
	to, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	former, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	testkit.Must(t, err)
	defer former.Close()
	for seq := uint32(1); seq < 4; seq++ { // it counted from 1, as we do
		m, err := nfqueue.Config{Queue: 3}.Bind()
		testkit.Must(t, err)
		m.Flags, m.Seq = unix.NLM_F_REQUEST|unix.NLM_F_ACK, seq
		_, err = former.Send(m.Append(nil))
		testkit.Must(t, err)
	}
	conn, err := nfnl.FileConn(endtoend.DupDescriptor(t, former))
	testkit.Must(t, err)
	var reported testkit.Errors
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 3, CopyRange: 128, OnError: reported.Add})
	testkit.Must(t, err)
	defer q.Close()
	long := endtoend.Letters(500)
	endtoend.Send(t, from, long)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if len(p.Payload) != 128 {
			t.Errorf("%d bytes of the packet, want 128", len(p.Payload))
		}
		return nfqueue.Accept()
	})
	endtoend.WantReceived(t, to, long)
	reported.WantNoMore(t)
}
