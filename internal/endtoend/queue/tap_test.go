//go:build linux

package queue

import (
	"slices"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A tapped are the messages that a Tap saw, in words.
type tapped struct {
	t  *testing.T
	mu sync.Mutex

	seen []string
	raw  []byte // all of them
}

// tap is a nfnl.Config's Tap.
func (s *tapped) tap(sent bool, datagram []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	direction := "received "
	if sent {
		direction = "sent "
	}
	s.raw = append(s.raw, datagram...)
	for len(datagram) > 0 {
		m, rest, err := nfnl.Next(datagram)
		if err != nil {
			s.t.Errorf("%s%x: %v", direction, datagram, err)
			return
		}
		name := map[nfnl.Type]string{0x2: "answer", 0x300: "packet", 0x301: "verdict", 0x302: "config"}[m.Type]
		s.seen, datagram = append(s.seen, direction+name), rest
	}
}

// A tap sees everything that happens on the socket: that the queue is set up, the
// packet, its verdict.
func TestTapSeesEveryMessage(t *testing.T) {
	n := endtoend.NewNet(t)
	s := &tapped{t: t}
	q := endtoend.OpenQueue(t, n, nfqueue.Config{Queue: 710, Socket: nfnl.Config{Tap: s.tap}})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Queue(710))
	stop := endtoend.RunQueue(t, q, func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Accept().WithMark(7) })
	pc, c := endtoend.UDPPair(t, n, "udp4", "127.0.0.1:9999")
	_, err := c.Write([]byte("hello"))
	testkit.Must(t, err)
	endtoend.Receive(t, pc)
	stop()

	s.mu.Lock()
	defer s.mu.Unlock()
	setUp := slices.Index(s.seen, "received packet")
	if setUp < 2 || s.seen[0] != "sent config" || !slices.Contains(s.seen[:setUp], "received answer") {
		t.Errorf("before the packet the tap saw %q", s.seen)
	}
	if rest := s.seen[max(setUp, 0):]; len(rest) < 2 || rest[1] != "sent verdict" {
		t.Errorf("the packet and what follows are %q", rest)
	}
}
