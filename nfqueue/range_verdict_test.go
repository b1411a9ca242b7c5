package nfqueue_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
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

// No message for all packets up to an ID may catch one that is somebody else's.
func TestNoRunsWhilePacketsWaitElsewhere(t *testing.T) {
	const singles, run = "11 accept, 12 accept, 13 accept", "..23 accept"
	for name, elsewhere := range map[string]func(t *testing.T, q *nfqueue.Queue, w wiretap) (end func()){
		"held": func(t *testing.T, q *nfqueue.Queue, w wiretap) func() {
			w.deliver(t, 1, 1)
			tickets := make(chan nfqueue.Ticket, 1)
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				tickets <- p.Ticket()
				return nfqueue.Hold()
			})
			ticket := testkit.Next(t, tickets)
			testkit.Await(t, "Stats.Held is 1", func() bool { return q.Stats().Held == 1 })
			stopRuns(t, q, w)
			return func() {
				if err := ticket.SetVerdict(nfqueue.Drop()); err != nil {
					t.Error(err)
				}
				w.wantSent(t, "1 drop")
			}
		},
		"in a batch": func(t *testing.T, q *nfqueue.Queue, w wiretap) func() {
			w.deliver(t, 1, 2)
			b := q.NewBatch()
			receive(t, q, b, 2)
			return func() {
				if err := q.Send(b); err != nil {
					t.Error(err)
				}
				w.wantSent(t, "..2 drop") // older than all others
			}
		},
		"with another Run": func(t *testing.T, q *nfqueue.Queue, w wiretap) func() {
			release := make(chan struct{})
			w.deliver(t, 1, 2)
			entered := make(chan struct{}, 2)
			stop := start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				entered <- struct{}{}
				<-release
				return nfqueue.Drop()
			})
			testkit.Next(t, entered)
			return func() {
				close(release)
				w.wantSent(t, "..2 drop")
				stop()
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			q, w := tap(t, nfqueue.Config{RangeVerdicts: true, FlushAfter: time.Hour})
			end := elsewhere(t, q, w)
			w.deliver(t, 11, 13)
			if got := receiveAndSend(t, q, w, nfqueue.Accept()); got != singles {
				t.Errorf("meanwhile sent %q, want %q", got, singles)
			}
			end()
			w.deliver(t, 21, 23)
			if got := receiveAndSend(t, q, w, nfqueue.Accept()); got != run {
				t.Errorf("afterwards sent %q, want %q", got, run)
			}
		})
	}
}

// stopRuns ends the Runs that wait, so that the test can receive.
func stopRuns(t testing.TB, q *nfqueue.Queue, _ wiretap) {
	t.Helper()
	if err := q.SetReadDeadline(time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	b := q.NewBatch()
	testkit.Await(t, "Receive fails", func() bool { return q.Receive(b) != nil })
	if err := q.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
}

func TestAdoptedQueueHasNoRuns(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	bind, err := nfqueue.Config{Queue: 7}.Bind()
	if err == nil {
		err = conn.Request(bind)
	}
	if err != nil {
		t.Fatal(err)
	}
	before := k.Enqueue(packet("x"))
	if err := conn.Receive(nfnl.NewBatch(1, 1<<16, func(nfnl.Message, error) {})); err != nil { // by the owner before
		t.Fatal(err)
	}
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, RangeVerdicts: true})
	if err != nil {
		t.Fatal(err)
	}
	ids := []uint32{k.Enqueue(packet("x")), k.Enqueue(packet("x"))}
	start(t, q, accept)
	for _, id := range ids {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	if left := k.Waiting(); !slices.Equal(left, []uint32{before}) {
		t.Errorf("waiting are %v, want the one that nobody here has seen", left)
	}
}

// What the kernel would not take an answer for must not be let through with
// what comes later.
func TestNoRunsAfterAVerdictThatDidNotArrive(t *testing.T) {
	conn, k := nfqueuetest.New(t)
	q, err := nfqueue.OpenConn(conn, nfqueue.Config{Queue: 7, RangeVerdicts: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { q.Close() })
	k.Refuse(func(m nfnl.Message) error {
		if m.Type == verdictType || m.Type == verdictBatchType {
			return syscall.EPERM
		}
		return nil
	})
	lost := k.Enqueue(packet("x"))
	if err := q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict { return nfqueue.Drop() }); !errors.Is(err, syscall.EPERM) {
		t.Fatal(err)
	}
	k.Refuse(nil)
	ids := []uint32{k.Enqueue(packet("y")), k.Enqueue(packet("y")), k.Enqueue(packet("y"))}
	start(t, q, accept)
	for _, id := range ids {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	if left := k.Waiting(); !slices.Equal(left, []uint32{lost}) {
		t.Errorf("waiting are %v, want %d: the handler said drop", left, lost)
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

// A model knows which verdict each packet must get: its owner's.
type model struct {
	t      testing.TB
	mu     sync.Mutex
	chosen map[uint32]nfqueue.Verdict
}

// choose notes the verdict of who has decided on a packet. For a handler that is
// only so if nobody was faster.
func (m *model) choose(id uint32, v nfqueue.Verdict, handler bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, taken := m.chosen[id]; taken && handler {
		return
	}
	m.chosen[id] = v
}

// settle waits until all packets up to last have a verdict.
func settle(k *nfqueuetest.Kernel, last uint32) {
	for id := uint32(1); id <= last; id++ {
		k.Verdict(id)
	}
}

// check checks the verdicts on all packets up to last, when everybody has noted
// what they chose.
func (m *model) check(k *nfqueuetest.Kernel, last uint32) {
	m.t.Helper()
	wrong := 0
	for id := uint32(1); id <= last; id++ {
		got := k.Verdict(id)
		m.mu.Lock()
		want, ok := m.chosen[id]
		m.mu.Unlock()
		if !ok || !got.Equal(want) {
			if wrong++; wrong < 10 {
				m.t.Errorf("packet %d got %v, its owner chose %v (%v)", id, got, want, ok)
			}
		}
	}
}

// answer decides on a packet from outside of its handler, and notes it if that
// was in time.
func (m *model) answer(set func(nfqueue.Verdict) error, id uint32, v nfqueue.Verdict) {
	switch err := set(v); {
	case err == nil:
		m.choose(id, v, false)
	case !errors.Is(err, nfqueue.ErrDecided):
		m.t.Error(err)
	}
}

// The handler says accept, in long runs. Others decide at the same time on
// packets that it has not got to yet: their verdicts stand.
func TestRunsCatchNoPacketOfOthers(t *testing.T) {
	m := &model{t: t, chosen: map[uint32]nfqueue.Verdict{}}
	q, k := open(t, nfqueue.Config{RangeVerdicts: true})
	wanted := make(chan uint32, 100)
	var others sync.WaitGroup
	for range 3 {
		others.Go(func() {
			for id := range wanted {
				v := nfqueue.Drop().WithMark(id)
				m.answer(func(v nfqueue.Verdict) error { return q.SetVerdict(id, v) }, id, v)
			}
		})
	}
	stop := start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID%4 == 0 {
			select {
			case wanted <- p.ID + 2: // is there, or on its way
			default:
			}
		}
		m.choose(p.ID, nfqueue.Accept(), true)
		return nfqueue.Accept()
	})
	enqueueAll(k)
	settle(k, stressPackets)
	stop()
	close(wanted)
	others.Wait()
	m.check(k, stressPackets)
	if s := q.Stats(); s.Gone+s.Refused+s.Lost+s.Fallbacks != 0 || s.Held != 0 {
		t.Errorf("stats %+v", s)
	}
}

// Runs come and go, a loop receives beside them, packets are held, for a time
// or not, and answered by others.
func TestEveryPacketGetsItsOwnersVerdict(t *testing.T) {
	m := &model{t: t, chosen: map[uint32]nfqueue.Verdict{}}
	q, k := open(t, nfqueue.Config{Batch: 16, RangeVerdicts: true})
	tickets := make(chan nfqueue.Ticket, stressPackets)
	var others sync.WaitGroup
	for range 2 {
		others.Go(func() {
			for ticket := range tickets {
				v := nfqueue.Stop().WithMark(ticket.ID())
				m.answer(ticket.SetVerdict, ticket.ID(), v)
			}
		})
	}
	handler := func(p *nfqueue.Packet) nfqueue.Verdict {
		v := nfqueue.Accept()
		switch {
		case p.ID%50 == 0:
			tickets <- p.Ticket()
			return nfqueue.Hold()
		case p.ID%50 == 20:
			// Whoever is first: for the fallback the model says so beforehand.
			fallback := nfqueue.Drop().WithPriority(p.ID)
			m.choose(p.ID, fallback, true)
			tickets <- p.Ticket()
			return nfqueue.HoldFor(50*time.Microsecond, fallback)
		case p.ID%100 > 70:
			v = nfqueue.Drop()
		}
		m.choose(p.ID, v, true)
		return v
	}
	ctx, cancel := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	loops.Go(func() { // Runs that end and begin
		for ctx.Err() == nil {
			short, cancel := context.WithTimeout(ctx, time.Millisecond)
			if err := q.Run(short, handler); !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			cancel()
		}
	})
	loops.Go(func() {
		if err := q.Run(ctx, handler); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	loops.Go(func() {
		b := q.NewBatch()
		for ctx.Err() == nil {
			if err := q.TryReceive(b); err != nil {
				t.Error(err)
			}
			for i := range b.Packets {
				b.Verdicts[i] = handler(&b.Packets[i])
			}
			runtime.Gosched()
		}
		if err := q.Send(b); err != nil {
			t.Error(err)
		}
	})
	enqueueAll(k)
	settle(k, stressPackets)
	cancel()
	loops.Wait()
	close(tickets)
	others.Wait()
	m.check(k, stressPackets)
	if s := q.Stats(); s.Gone+s.Refused+s.Lost+s.Fallbacks != 0 || s.Held != 0 || s.HeldBytes != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestNoAllocsForRuns(t *testing.T) {
	skipUnderRace(t)
	const runs, batch = 50, 8
	q := sink(t, nfqueue.Config{Batch: batch, RangeVerdicts: true}, (runs+2)*batch)
	b := q.NewBatch()
	cycle := func() {
		if err := q.Receive(b); err != nil || len(b.Packets) == 0 {
			t.Fatalf("%d packets, %v", len(b.Packets), err)
		}
		for i := range b.Verdicts {
			b.Verdicts[i] = nfqueue.Accept().WithMark(uint32(i / 3))
		}
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
	}
	cycle()
	if n := testing.AllocsPerRun(runs, cycle); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
