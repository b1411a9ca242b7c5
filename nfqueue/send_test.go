package nfqueue_test

import (
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A verdict that does not fit the send buffer becomes the fallback; those before
// and behind it are sent.
func TestVerdictThatIsTooLongBecomesTheFallback(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
	k.FailSend(func(datagram []byte) error {
		for rest := datagram; len(rest) > 0; {
			m, next, err := nfnl.Next(rest)
			if err == nil && len(m.Attrs) > 1000 {
				return syscall.EMSGSIZE
			}
			rest = next
		}
		return nil
	})
	for range 20 {
		k.Enqueue(packet("x"))
	}
	long := udpPacket(strings.Repeat("long", 1000))
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 5 || p.ID == 10 || p.ID == 20 {
			return nfqueue.Accept().WithPayload(long)
		}
		return nfqueue.Accept()
	})
	for id := uint32(1); id <= 20; id++ {
		want := nfqueue.Accept()
		if id == 5 || id == 10 || id == 20 {
			want = fallback
		}
		wantVerdict(t, k, id, want)
	}
	nextPackets(t, reported, syscall.EMSGSIZE, 5, 3)
	if s := q.Stats(); s.Refused != 3 || s.Fallbacks != 3 {
		t.Errorf("stats %+v", s)
	}
}
