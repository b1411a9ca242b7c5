//go:build linux

package queue

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A verdict can only drop, which leaves the sender waiting. A mark and a rule in a
// later chain reject: what leaves, what comes in and what is forwarded.
func TestMarkedPacketsAreRejected(t *testing.T) {
	const mangle, refused = -150, 0x10
	for _, hook := range []lab.Hook{lab.Output, lab.Forward, lab.Input} {
		t.Run(hook.String(), func(t *testing.T) {
			endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
				r := endtoend.NewRouted(t)
				n := r.At(hook)
				q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 7})
				endtoend.RunQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
					return nfqueue.Accept().WithMark(p.Mark | refused)
				})
				tcp := lab.L4(unix.IPPROTO_TCP)
				endtoend.AddRules(t, n, lab.Inet, hook, mangle, []lab.Term{tcp, lab.DstPort(9999), lab.Queue(7)}, []lab.Term{lab.UDP(9999), lab.Queue(7)})
				endtoend.AddRules(t, n, lab.Inet, hook, 0, []lab.Term{lab.MarkBits(refused, refused), lab.Reject()})

				wantRefused(t, r, v)
			})
		})
	}
}

// wantRefused fails the test unless TCP and UDP to b are refused at once.
func wantRefused(t *testing.T, r *endtoend.Routed, v endtoend.IPVersion) {
	t.Helper()
	l, err := r.B.Listen("tcp", r.Address(v))
	testkit.Must(t, err)
	defer l.Close()
	d := net.Dialer{Timeout: testkit.Patience}
	err = r.A.Do(func() error {
		_, err := d.DialContext(context.Background(), "tcp", r.Address(v))
		return err
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("TCP: %v, want ECONNREFUSED", err)
	}
	c, err := r.A.Dial("udp", r.Address(v))
	testkit.Must(t, err)
	defer c.Close()
	endtoend.Send(t, c, "x")
	testkit.Must(t, c.SetReadDeadline(time.Now().Add(testkit.Patience)))
	if _, err = c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("UDP: %v, want ECONNREFUSED", err)
	}
}
