package nfqueue_test

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// verdictBatchType is NFQNL_MSG_VERDICT_BATCH.
const verdictBatchType nfnl.Type = 0x0303

// words are the verdict words of the kernel.
var words = map[uint32]string{0: "drop", 1: "accept", 4: "repeat", 5: "stop"}

// sent describes the messages of a datagram: "3 accept" is a verdict on packet
// 3, "..5 drop" one on all that wait up to 5. A mark is added as "#7".
func sent(t testing.TB, datagram []byte) string {
	t.Helper()
	var all []string
	for len(datagram) > 0 {
		m, rest, err := nfnl.Next(datagram)
		if err != nil || m.Type != verdictType && m.Type != verdictBatchType || m.Resource != 7 {
			t.Fatalf("sent %x: %v", datagram, err)
		}
		datagram = rest
		var s string
		for d := attr.NewDecoder(m.Attrs); d.Next(); {
			switch d.Type() {
			case 2:
				h := d.Fixed(8)
				s = fmt.Sprintf("%d %s", binary.BigEndian.Uint32(h[4:]), words[binary.BigEndian.Uint32(h)])
			case 3:
				s += fmt.Sprintf("#%d", d.Uint32())
			}
		}
		if m.Type == verdictBatchType {
			s = ".." + s
		}
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// deliver delivers packets with the IDs from first to last.
func (w wiretap) deliver(t testing.TB, first, last uint32) {
	t.Helper()
	for id := first; id <= last; id++ {
		if err := w.Deliver(packetMessage(id, tlv(10, udpPacket("x")))); err != nil {
			t.Fatal(err)
		}
	}
}

// wantSent waits for the next send, and checks what it has.
func (w wiretap) wantSent(t testing.TB, want string) {
	t.Helper()
	if got := sent(t, testkit.Next(t, w.sends)); got != want {
		t.Errorf("sent %q, want %q", got, want)
	}
}

func TestRunsOfEqualVerdictsAreOneMessage(t *testing.T) {
	a, d, m7, m8 := nfqueue.Accept(), nfqueue.Drop(), nfqueue.Accept().WithMark(7), nfqueue.Accept().WithMark(8)
	for name, c := range map[string]struct {
		verdicts []nfqueue.Verdict
		want     string
	}{
		"one packet":               {[]nfqueue.Verdict{a}, "1 accept"},
		"all equal":                {[]nfqueue.Verdict{a, a, a, a, a}, "..5 accept"},
		"all different":            {[]nfqueue.Verdict{a, d, a, d}, "1 accept, 2 drop, 3 accept, 4 drop"},
		"several runs":             {[]nfqueue.Verdict{a, a, d, d, d, nfqueue.Stop(), a, a}, "..2 accept, ..5 drop, 6 stop, ..8 accept"},
		"one more at the end":      {[]nfqueue.Verdict{a, a, d}, "..2 accept, 3 drop"},
		"equal marks":              {[]nfqueue.Verdict{m7, m7, m7}, "..3 accept#7"},
		"different marks":          {[]nfqueue.Verdict{m7, m8, a, a}, "1 accept#7, 2 accept#8, ..4 accept"},
		"a mark of 0 is a mark":    {[]nfqueue.Verdict{a, nfqueue.Accept().WithMark(0)}, "1 accept, 2 accept#0"},
		"a priority":               {[]nfqueue.Verdict{a, nfqueue.Accept().WithPriority(1)}, "1 accept, 2 accept"},
		"a payload in the middle":  {[]nfqueue.Verdict{a, a, a.WithRawPayload(udpPacket("y")), a, a}, "..2 accept, 3 accept, 4 accept, 5 accept"},
		"payloads":                 {[]nfqueue.Verdict{a.WithPayload(udpPacket("y")), a.WithPayload(udpPacket("y"))}, "1 accept, 2 accept"},
		"a held one in the middle": {[]nfqueue.Verdict{a, a, nfqueue.Hold(), a, a}, "..2 accept, 4 accept, 5 accept"},
		"a held one for some time": {[]nfqueue.Verdict{a, nfqueue.HoldFor(time.Hour, d), a, a}, "1 accept, 3 accept, 4 accept"},
		"a held one at the end":    {[]nfqueue.Verdict{a, a, nfqueue.Hold()}, "..2 accept"},
		"a refused one":            {[]nfqueue.Verdict{a, a, a.WithVLAN(attr.VLAN{Protocol: 0x8100}), a, a}, "..2 accept, 3 drop, ..5 accept"},
	} {
		t.Run(name, func(t *testing.T) {
			q, w := tap(t, nfqueue.Config{RangeVerdicts: true, FlushAfter: time.Hour})
			w.deliver(t, 1, uint32(len(c.verdicts)))
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict { return c.verdicts[p.ID-1] })
			w.wantSent(t, c.want)
		})
	}
}

func TestRunsAcrossTheWrapOfIDs(t *testing.T) {
	q, w := tap(t, nfqueue.Config{RangeVerdicts: true, FlushAfter: time.Hour})
	for _, id := range []uint32{0xfffffffe, 0xffffffff, 0, 1} {
		w.Deliver(packetMessage(id))
	}
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID > 1 {
			return nfqueue.Accept()
		}
		return nfqueue.Drop()
	})
	w.wantSent(t, "..4294967295 accept, ..1 drop")
}

// receiveAndSend receives what is there, answers it all with v and returns
// which messages that sent.
func receiveAndSend(t testing.TB, q *nfqueue.Queue, w wiretap, v nfqueue.Verdict) string {
	t.Helper()
	b := q.NewBatch()
	if err := q.Receive(b); err != nil {
		t.Fatal(err)
	}
	for i := range b.Verdicts {
		b.Verdicts[i] = v
	}
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	return sent(t, testkit.Next(t, w.sends))
}

func TestSendSendsRunsToo(t *testing.T) {
	q, w := tap(t, nfqueue.Config{RangeVerdicts: true})
	w.deliver(t, 1, 3)
	if got := receiveAndSend(t, q, w, nfqueue.Accept()); got != "..3 accept" {
		t.Errorf("sent %q", got)
	}
}

// A verdict through a ticket, given while others of the batch make a run, is
// that packet's.
func TestTicketInTheMiddleOfARun(t *testing.T) {
	q, w := tap(t, nfqueue.Config{RangeVerdicts: true, FlushAfter: time.Hour})
	w.deliver(t, 1, 5)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 2 {
			if err := q.SetVerdict(3, nfqueue.Drop()); err != nil {
				t.Error(err)
			}
		}
		return nfqueue.Accept()
	})
	w.wantSent(t, "1 accept") // returned before
	w.wantSent(t, "3 drop")
	w.wantSent(t, "..5 accept") // 3 is decided
}

func TestTicketThatIsBeingAnsweredBreaksTheRun(t *testing.T) {
	answering, proceed := make(chan struct{}), make(chan struct{})
	sends := make(chan []byte, 10)
	var peer *engine.Peer
	conn, peer, err := engine.Pipe(func(datagram []byte) error {
		m, _, err := nfnl.Next(datagram)
		if err == nil && m.Flags&engine.FlagAck != 0 {
			w := wiretap{Peer: peer}
			return w.acknowledge(m)
		}
		if m.Seq == 3 { // the ticket's verdict takes its time
			close(answering)
			<-proceed
		}
		sends <- slices.Clone(datagram)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peer.Close() })
	q, err := nfqueue.OpenConn((*nfnl.Conn)(conn), nfqueue.Config{Queue: 7, RangeVerdicts: true, FlushAfter: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	w := wiretap{Peer: peer, sends: sends}
	w.deliver(t, 1, 5)
	answered := make(chan error, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 1 {
			go func() { answered <- q.SetVerdict(3, nfqueue.Drop()) }()
			<-answering
		}
		return nfqueue.Accept()
	})
	w.wantSent(t, "1 accept, 2 accept, 4 accept, 5 accept")
	close(proceed)
	w.wantSent(t, "3 drop")
	if err := testkit.Next(t, answered); err != nil {
		t.Error(err)
	}
}

func TestPacketsOfARunThatAreGoneAreCounted(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{RangeVerdicts: true, OnError: reported.Add, FlushAfter: time.Hour})
	for range 4 {
		k.Enqueue(packet("x"))
	}
	k.Flush()
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 1 {
			return nfqueue.Drop()
		}
		return nfqueue.Accept() // three in a row
	})
	nextPackets(t, reported, nfqueue.ErrPacketGone, 0, 4)
	if s := q.Stats(); s.Gone != 4 || s.Refused != 0 || s.Fallbacks != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestRunsGoOnAfterVerdictUpTo(t *testing.T) {
	q, w := tap(t, nfqueue.Config{RangeVerdicts: true, FlushAfter: time.Hour})
	w.deliver(t, 1, 4)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == 1 {
			if err := q.SetVerdictUpTo(2, nfqueue.Stop()); err != nil {
				t.Error(err)
			}
			w.deliver(t, 11, 13)
		}
		return nfqueue.Accept()
	})
	w.wantSent(t, "..2 stop")
	w.wantSent(t, "..4 accept")
	w.wantSent(t, "..13 accept")
}
