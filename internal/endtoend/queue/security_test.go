//go:build linux

package queue

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// label is one that AppArmor has without any profile loaded.
const label = "unconfined"

// secMark returns the action that gives packets the label. ok is false if no
// security module has labels.
func secMark(t testing.TB, n *lab.Net) (mark lab.Term, ok bool) {
	t.Helper()
	mark, err := n.SecMark(lab.IPv4, label)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOENT) {
		return mark, false
	}
	testkit.Must(t, err)
	return mark, true
}

// A security module that has labels tells them of packets and of connections;
// with others the fields are empty.
func TestPacketTellsItsSecurityContext(t *testing.T) {
	n := endtoend.NewNet(t)
	cfg := nfqueue.Config{SecurityContext: true, Conntrack: true, BestEffort: true}
	q := endtoend.OpenQueue(t, n, cfg)
	wantPacket, wantConn := "", ""
	out, err := n.Chain(lab.IPv4, lab.Output, 0)
	testkit.Must(t, err)
	if mark, ok := secMark(t, n); ok {
		_, err = out.Add(lab.UDP(9999), mark, lab.SetCTSecMark())
		testkit.Must(t, err)
		if q.Granted().SecurityContext {
			wantPacket = label
		}
		if q.Granted().Conntrack {
			wantConn = label
		}
	}
	_, err = out.Add(lab.UDP(9999), lab.Queue(0))
	testkit.Must(t, err)
	type contexts struct{ packet, conn string }
	got := make(chan contexts, 1)
	endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		c, _ := p.Conntrack() // without conntrack it is empty
		got <- contexts{string(bytes.TrimRight(p.SecurityContext, "\x00")), string(c.SecurityContext)}
		return nfqueue.Accept()
	})
	_, c := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, c, "x")
	if got, want := testkit.Next(t, got), (contexts{wantPacket, wantConn}); got != want {
		t.Fatalf("got %q, want %q", got, want)
	}
	if wantPacket == "" || wantConn == "" {
		t.Skip("no labels here, or none of packets, or none of connections")
	}
	t.Logf("told %q", wantPacket)
}
