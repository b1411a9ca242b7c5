package nfqueue_test

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/nlattr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// connection is NFQA_CT with a little of what the kernel says of a connection.
func connection() []byte {
	return tlv(0x800b,
		tlv(0x8001, // original tuple
			tlv(0x8001, tlv(1, "c0000201"), tlv(2, "c0000202")),
			tlv(0x8002, testkit.List(tlv(1, "11")), testkit.List(tlv(2, "1234")), testkit.List(tlv(3, "0009")))),
		tlv(12, "0badcafe"), tlv(3, "00000008"), tlv(7, "0000001e"), tlv(8, "0000002a"))
}

// tracked is a packet of a connection.
func tracked(id uint32) []byte {
	return packetMessage(id, connection(), tlv(12, "00000002"), tlv(10, udpPacket("x")))
}

func TestPacketTellsOfItsConnection(t *testing.T) {
	p := decode(t, tracked(1))
	c, err := p.Conntrack()
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != 0x0badcafe || c.Mark != 42 || !c.HasMark || c.Timeout != 30*time.Second || c.Original.Protocol != 17 ||
		c.Original.Src != netip.MustParseAddrPort("192.0.2.1:4660") || c.Original.Dst != netip.MustParseAddrPort("192.0.2.2:9") {
		t.Errorf("got %+v", c)
	}
	if p.ConntrackInfo != attr.InfoNew {
		t.Errorf("it is %v", p.ConntrackInfo)
	}
	clone := p.Clone()
	if c2, err := clone.Conntrack(); err != nil || c2.ID != c.ID {
		t.Errorf("a clone says %+v, %v", c2, err)
	}
	raw := connection()[nlattr.HeaderLen:]
	if !bytes.Equal(p.ConntrackBytes(), raw) || !bytes.Equal(clone.ConntrackBytes(), raw) {
		t.Errorf("attributes %x, of a clone %x, want %x", p.ConntrackBytes(), clone.ConntrackBytes(), raw)
	}
	noAllocs(t, "Conntrack", func() {
		if _, err := p.Conntrack(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestUntrackedPacketHasNoConnection(t *testing.T) {
	p := decode(t, plainMessage())
	if _, err := p.Conntrack(); !errors.Is(err, nfqueue.ErrUntracked) || p.ConntrackInfo != attr.InfoUntracked || p.ConntrackBytes() != nil {
		t.Errorf("got %v, %v", p.ConntrackInfo, err)
	}
}

func TestMalformedConnectionIsAnError(t *testing.T) {
	p := decode(t, packetMessage(1, tlv(0x800b, tlv(8, "00"))))
	if _, err := p.Conntrack(); !errors.Is(err, attr.ErrMalformed) {
		t.Errorf("got %v", err)
	}
}

// labels returns those with the numbers.
func labels(numbers ...int) (l attr.ConntrackLabels) {
	for _, n := range numbers {
		l.Set(n)
	}
	return l
}

func TestConntrackChangesOnTheWire(t *testing.T) {
	const all, none = "ffffffffffffffffffffffffffffffff", "00000000000000000000000000000000"
	one, five := labels(1), labels(5)
	both := labels(1, 5)
	for name, c := range map[string]struct {
		v    nfqueue.Verdict
		want [][]byte
	}{
		"mark":                    {nfqueue.Accept().WithConntrackMark(7, 0xff), [][]byte{tlv(8, "00000007"), tlv(21, "000000ff")}},
		"mark, all bits":          {nfqueue.Accept().WithConntrackMark(7, 0xffffffff), [][]byte{tlv(8, "00000007"), tlv(21, "ffffffff")}},
		"mark, no bits":           {nfqueue.Accept().WithConntrackMark(7, 0), [][]byte{tlv(8, "00000000"), tlv(21, "00000000")}},
		"mark outside of mask":    {nfqueue.Accept().WithConntrackMark(0x1234, 0xff), [][]byte{tlv(8, "00000034"), tlv(21, "000000ff")}},
		"mark taken away":         {nfqueue.Accept().WithConntrackMark(0, 0xf0), [][]byte{tlv(8, "00000000"), tlv(21, "000000f0")}},
		"labels":                  {nfqueue.Accept().WithConntrackLabels(one, both), [][]byte{tlv(22, one[:]), tlv(23, both[:])}},
		"labels, all":             {nfqueue.Accept().WithConntrackLabels(one, attr.AllLabels()), [][]byte{tlv(22, one[:]), tlv(23, all)}},
		"labels, none":            {nfqueue.Accept().WithConntrackLabels(one, attr.ConntrackLabels{}), [][]byte{tlv(22, none), tlv(23, none)}},
		"labels outside of mask":  {nfqueue.Accept().WithConntrackLabels(both, five), [][]byte{tlv(22, five[:]), tlv(23, five[:])}},
		"labels taken away":       {nfqueue.Accept().WithConntrackLabels(attr.ConntrackLabels{}, one), [][]byte{tlv(22, none), tlv(23, one[:])}},
		"timeout":                 {nfqueue.Accept().WithConntrackTimeout(time.Minute), [][]byte{tlv(7, "0000003c")}},
		"timeout, rounded up":     {nfqueue.Accept().WithConntrackTimeout(1500 * time.Millisecond), [][]byte{tlv(7, "00000002")}},
		"timeout below 0":         {nfqueue.Accept().WithConntrackTimeout(-time.Second), [][]byte{tlv(7, "00000000")}},
		"status":                  {nfqueue.Accept().WithConntrackStatus(attr.StatusAssured | attr.StatusSeenReply), [][]byte{tlv(3, "00000006")}},
		"status, none of it":      {nfqueue.Accept().WithConntrackStatus(0), [][]byte{tlv(3, "00000000")}},
		"status, what can change": {nfqueue.Accept().WithConntrackStatus(0xffffffff), [][]byte{tlv(3, "00002406")}},
		"status and timeout":      {nfqueue.Accept().WithConntrackStatus(attr.StatusFixedTimeout).WithConntrackTimeout(time.Minute), [][]byte{tlv(7, "0000003c"), tlv(3, "00000400")}},
		"twice":                   {nfqueue.Accept().WithConntrackMark(7, 1).WithConntrackMark(8, 0xf), [][]byte{tlv(8, "00000008"), tlv(21, "0000000f")}},
		"everything, in any verb": {nfqueue.Drop().WithConntrackTimeout(0).WithConntrackLabels(one, one).WithConntrackMark(1, 1), [][]byte{tlv(8, "00000001"), tlv(21, "00000001"), tlv(22, one[:]), tlv(23, one[:]), tlv(7, "00000000")}},
	} {
		t.Run(name, func(t *testing.T) {
			q, w := tap(t, nfqueue.Config{ConntrackVerdicts: true, FlushAfter: time.Hour})
			w.deliver(t, 1, 1)
			start(t, q, always(c.v))
			var nest []byte
			for d := attr.NewDecoder(parse(t, testkit.Next(t, w.sends)).Attrs); d.Next(); {
				if d.Type() == 11 {
					nest = d.Bytes()
				}
			}
			if want := bytes.Join(c.want, nil); !bytes.Equal(nest, want) {
				t.Errorf("got  %x\nwant %x", nest, want)
			}
		})
	}
}

func TestConntrackChangesThatTheKernelWouldIgnore(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     nfqueue.Config
		message []byte
		refused bool
	}{
		"neither is set":                     {nfqueue.Config{}, tracked(1), true},
		"Conntrack, and tracked":             {nfqueue.Config{Conntrack: true}, tracked(1), false},
		"Conntrack, and untracked":           {nfqueue.Config{Conntrack: true}, packetMessage(1, tlv(10, udpPacket("x"))), true},
		"Conntrack, told that it is none":    {nfqueue.Config{Conntrack: true}, packetMessage(1, tlv(12, "00000007"), tlv(10, udpPacket("x"))), true},
		"ConntrackVerdicts, nothing told":    {nfqueue.Config{ConntrackVerdicts: true}, packetMessage(1, tlv(10, udpPacket("x"))), false},
		"both, and untracked":                {nfqueue.Config{Conntrack: true, ConntrackVerdicts: true}, packetMessage(1), true},
		"ConntrackVerdicts, without payload": {nfqueue.Config{ConntrackVerdicts: true, MetadataOnly: true}, packetMessage(1), false},
	} {
		for what, v := range map[string]nfqueue.Verdict{
			"mark":    nfqueue.Accept().WithConntrackMark(7, 0xffffffff),
			"labels":  nfqueue.Accept().WithConntrackLabels(labels(3), attr.AllLabels()),
			"timeout": nfqueue.Accept().WithConntrackTimeout(time.Second),
			"status":  nfqueue.Accept().WithConntrackStatus(attr.StatusAssured),
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				reported := new(testkit.Errors)
				c.cfg.OnError, c.cfg.Fallback = reported.Add, nfqueue.Stop()
				q, w := tap(t, c.cfg)
				w.Deliver(c.message)
				start(t, q, always(v))
				if !c.refused {
					w.wantSent(t, "1 accept")
					reported.WantNoMore(t)
					return
				}
				w.wantSent(t, "1 stop")
				reported.Next(t, nfqueue.ErrUntracked)
			})
		}
	}
}

func TestTicketRemembersWhetherThePacketIsTracked(t *testing.T) {
	q, w := tap(t, nfqueue.Config{Conntrack: true, Fallback: nfqueue.Stop()})
	w.Deliver(tracked(1))
	w.Deliver(packetMessage(2))
	tickets := hold(t, q)
	one, two := testkit.Next(t, tickets), testkit.Next(t, tickets)
	if err := one.SetVerdict(nfqueue.Accept().WithConntrackMark(1, 0xffffffff)); err != nil {
		t.Error(err)
	}
	w.wantSent(t, "1 accept")
	if err := two.SetVerdict(nfqueue.Accept().WithConntrackMark(1, 0xffffffff)); !errors.Is(err, nfqueue.ErrUntracked) {
		t.Errorf("got %v", err)
	}
	w.wantSent(t, "2 stop")
}

func TestConntrackChangeByID(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     nfqueue.Config
		message []byte
		refused bool
	}{
		"neither is set":                  {nfqueue.Config{}, tracked(1), true},
		"Conntrack, and tracked":          {nfqueue.Config{Conntrack: true}, tracked(1), false},
		"Conntrack, and untracked":        {nfqueue.Config{Conntrack: true}, packetMessage(1), true},
		"ConntrackVerdicts, nothing told": {nfqueue.Config{ConntrackVerdicts: true}, packetMessage(1), false},
	} {
		for where, hold := range map[string]bool{"held": true, "with its handler": false} {
			t.Run(name+", "+where, func(t *testing.T) {
				c.cfg.Fallback = nfqueue.Stop()
				q, w := tap(t, c.cfg)
				w.Deliver(c.message)
				b := q.NewBatch()
				receive(t, q, b, 1)
				send := func() {
					if err := q.Send(b); err != nil {
						t.Fatal(err)
					}
				}
				if hold {
					b.Verdicts[0] = nfqueue.Hold()
					send()
				}
				if err := q.SetVerdict(1, nfqueue.Accept().WithConntrackMark(1, 0xffffffff)); errors.Is(err, nfqueue.ErrUntracked) != c.refused {
					t.Errorf("got %v", err)
				}
				send()
				w.wantSent(t, map[bool]string{true: "1 stop", false: "1 accept"}[c.refused])
			})
		}
	}
}

func TestVerdictsOnConnectionsAreEqualIfTheyDoTheSame(t *testing.T) {
	a := nfqueue.Accept()
	all := []nfqueue.Verdict{
		a, a.WithConntrackMark(0, 0), a.WithConntrackMark(0, 0xffffffff), a.WithConntrackMark(1, 0xffffffff), a.WithConntrackMark(1, 1),
		a.WithConntrackLabels(labels(1), labels(1)), a.WithConntrackLabels(labels(1), labels(1, 2)),
		a.WithConntrackTimeout(0), a.WithConntrackTimeout(time.Second),
		a.WithConntrackStatus(0), a.WithConntrackStatus(attr.StatusAssured),
	}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%d equals %d: %v", i, j, i != j)
			}
		}
	}
}

func TestVerdictsOnConnectionsCanBeLookedAt(t *testing.T) {
	v := nfqueue.Accept()
	_, _, hasMark := v.ConntrackMark()
	_, _, hasLabels := v.ConntrackLabels()
	if _, hasTimeout := v.ConntrackTimeout(); hasMark || hasLabels || hasTimeout {
		t.Errorf("%v changes a connection: mark %v, labels %v, timeout %v", v, hasMark, hasLabels, hasTimeout)
	}
	v = v.WithConntrackMark(7, 0xffffffff).WithConntrackLabels(labels(1), labels(1, 2)).WithConntrackTimeout(time.Minute)
	if mark, mask, ok := v.ConntrackMark(); mark != 7 || mask != 0xffffffff || !ok {
		t.Errorf("mark %#x, mask %#x, %v", mark, mask, ok)
	}
	if set, mask, ok := v.ConntrackLabels(); set != labels(1) || mask != labels(1, 2) || !ok {
		t.Errorf("labels %x, mask %x, %v", set, mask, ok)
	}
	if d, ok := v.ConntrackTimeout(); d != time.Minute || !ok {
		t.Errorf("timeout %v, %v", d, ok)
	}
	if s, ok := v.ConntrackStatus(); ok {
		t.Errorf("status %v", s)
	}
	if s, ok := v.WithConntrackStatus(attr.StatusAssured | attr.StatusDying).ConntrackStatus(); s != attr.StatusAssured || !ok {
		t.Errorf("status %v, %v", s, ok)
	}
}

func TestNoAllocsForConntrackChanges(t *testing.T) {
	p, buf := decode(t, tracked(1)), make([]byte, 0, 1024)
	v := nfqueue.Accept().WithConntrackMark(7, 1).WithConntrackLabels(labels(1), labels(1)).WithConntrackTimeout(time.Second).
		WithConntrackStatus(attr.StatusAssured)
	noAllocs(t, "Append of changes to the connection", func() {
		if _, err := v.Append(buf, p); err == nil {
			return
		}
	})

	skipUnderRace(t)
	const runs, batch = 50, 4
	q := sink(t, nfqueue.Config{Batch: batch, ConntrackVerdicts: true}, (runs+2)*batch)
	b := q.NewBatch()
	cycle := func() {
		receive(t, q, b, batch)
		for i := range b.Verdicts {
			b.Verdicts[i] = v
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
