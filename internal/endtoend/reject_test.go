//go:build linux

package endtoend

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// A verdict can only drop, which leaves the sender waiting. A mark and a rule in a
// later chain reject: what leaves, what comes in and what is forwarded.
func TestMarkedPacketsAreRejected(t *testing.T) {
	const mangle, refused = -150, 0x10
	for _, hook := range []lab.Hook{lab.Output, lab.Forward, lab.Input} {
		t.Run(hook.String(), func(t *testing.T) {
			eachVersion(t, func(t *testing.T, v ipVersion) {
				r := newRoad(t)
				n := r.at(hook)
				q := openQueue(t, n, nfqueue.Config{Queue: 7})
				runQueue(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
					return nfqueue.Accept().WithMark(p.Mark | refused)
				})
				tcp := lab.L4(unix.IPPROTO_TCP)
				addRules(t, n, lab.Inet, hook, mangle, []lab.Term{tcp, lab.DstPort(9999), lab.Queue(7)}, []lab.Term{lab.UDP(9999), lab.Queue(7)})
				addRules(t, n, lab.Inet, hook, 0, []lab.Term{lab.MarkBits(refused, refused), lab.Reject()})

				wantRefused(t, r, v)
			})
		})
	}
}

// wantRefused fails the test unless TCP and UDP to b are refused at once.
func wantRefused(t *testing.T, r *road, v ipVersion) {
	t.Helper()
	l, err := r.b.Listen("tcp", r.address(v))
	must(t, err)
	defer l.Close()
	d := net.Dialer{Timeout: patience}
	err = r.a.Do(func() error {
		_, err := d.DialContext(context.Background(), "tcp", r.address(v))
		return err
	})
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("TCP: %v, want ECONNREFUSED", err)
	}
	c, err := r.a.Dial("udp", r.address(v))
	must(t, err)
	defer c.Close()
	send(t, c, "x")
	must(t, c.SetReadDeadline(time.Now().Add(patience)))
	if _, err = c.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("UDP: %v, want ECONNREFUSED", err)
	}
}
