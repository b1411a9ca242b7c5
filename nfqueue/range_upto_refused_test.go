package nfqueue_test

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestVerdictUpToTellsOfPacketsThatAreGone(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{OnError: reported.Add})
	held(t, q, k, 3)
	k.Flush()
	if err := q.SetVerdictUpTo(3, nfqueue.Accept()); err != nil {
		t.Fatal(err)
	}
	start(t, q, accept)
	nextPackets(t, reported, nfqueue.ErrPacketGone, 0, 3)
	if s := q.Stats(); s.Gone != 3 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestVerdictUpToNeedsOneThatFitsAll(t *testing.T) {
	q, w := tap(t, nfqueue.Config{ConntrackVerdicts: true})
	for _, v := range []nfqueue.Verdict{
		nfqueue.Hold(),
		nfqueue.HoldFor(time.Second, nfqueue.Accept()),
		nfqueue.Accept().WithPayload(udpPacket("y")),
		nfqueue.Accept().WithRawPayload(udpPacket("y")),
		nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}),
		nfqueue.Accept().WithLinkHeader(make([]byte, 14)),
		nfqueue.Accept().WithConntrackMark(1, 0xffffffff),
		nfqueue.Accept().WithConntrackLabels(attr.ConntrackLabels{1}, attr.AllLabels()),
		nfqueue.Accept().WithConntrackTimeout(time.Second),
		nfqueue.Accept().WithConntrackStatus(attr.StatusAssured),
	} {
		if err := q.SetVerdictUpTo(1, v); err == nil || !strings.Contains(err.Error(), "nfqueue 7") {
			t.Errorf("%v: got %v", v, err)
		}
	}
	if n := len(w.sends); n > 0 {
		t.Errorf("%d sends", n)
	}
}

func TestVerdictUpToAfterCloseIsErrClosed(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	held(t, q, k, 1)
	q.Close()
	if err := q.SetVerdictUpTo(1, nfqueue.Accept()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
}

func TestVerdictUpToThatIsNotSentLeavesPacketsHeld(t *testing.T) {
	q, f := failing(t, nfqueue.Config{})
	f.deliver(t, 1, 2)
	b := q.NewBatch()
	receive(t, q, b, 2)
	b.Verdicts[0], b.Verdicts[1] = nfqueue.Hold(), nfqueue.Hold()
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	f.fail.Store(true)
	if err := q.SetVerdictUpTo(2, nfqueue.Accept()); !errors.Is(err, errSend) {
		t.Errorf("got %v", err)
	}
	if n := q.Stats().Held; n != 2 {
		t.Errorf("%d are held", n)
	}
	f.fail.Store(false)
	if err := q.SetVerdict(1, nfqueue.Accept()); err != nil {
		t.Error(err)
	}
	f.wantSent(t, "1 accept")
}
