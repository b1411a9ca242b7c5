package nfqueue_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// Packets of UDP, finished; the second of each family has more in its header.
var (
	plain4     = udpPacket("hello")
	options4   = finished("4600 0000 0000 4000 4011 0000 c0000201 c0000202 01010100 1234 0009 0000 0000 68656c6c6f")
	plain6     = finished("60000000 0000 11 40", addresses6, "1234 0009 0000 0000 68656c6c6f")
	extension6 = finished("60000000 0000 00 40", addresses6, "3c00 010400000000 1100 010400000000 1234 0009 0000 0000 68656c6c6f")
	fragment6  = finished("60000000 0000 2c 40", addresses6, "1100 0001 00000007 1234 0009 0000 0000 68656c6c6f")
)

const addresses6 = "20010db8000000000000000000000001 20010db8000000000000000000000002"

// finished returns a packet with lengths and checksums set.
func finished(parts ...any) []byte {
	b := wire(parts...)
	if err := nfqueue.Finish(b); err != nil {
		panic(err)
	}
	return b
}

// set returns a copy of b with other bytes from i on.
func set(b []byte, i int, digits string) []byte {
	b = bytes.Clone(b)
	copy(b[i:], wire(digits))
	return b
}

// insert returns a copy of b with more bytes at i.
func insert(b []byte, i int, digits string) []byte {
	return bytes.Join([][]byte{b[:i], wire(digits), b[i:]}, nil)
}

// family returns the family of a packet.
func family(b []byte) nfnl.Family {
	if b[0]>>4 == 6 {
		return nfnl.IPv6
	}
	return nfnl.IPv4
}

// given enqueues p with a queue whose kernel lets payloads change what r says,
// and returns what gives it a verdict, and returns why that is refused.
func given(t testing.TB, p nfqueue.Packet, r func(*nfqueue.Queue)) func(nfqueue.Verdict) error {
	t.Helper()
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	r(q)
	k.Enqueue(p)
	b := q.NewBatch()
	receive(t, q, b, 1)
	return func(v nfqueue.Verdict) error {
		_, err := v.Append(nil, &b.Packets[0])
		return err
	}
}

func anyRewrite(q *nfqueue.Queue)  { q.Restrict(nfqueue.AnyRewrite) }
func sameHeaders(q *nfqueue.Queue) { q.Restrict(nfqueue.SameHeaders) }
func noRewrite(q *nfqueue.Queue)   { q.Restrict(nfqueue.NoRewrite) }

// Rewrites that Linux 7.2 would drop, if they are finished before.
var forbidden = map[string]struct{ from, to []byte }{
	"options added":               {plain4, finished(set(insert(plain4, 20, "01010101"), 0, "46"))},
	"options taken away":          {options4, finished(set(append(bytes.Clone(options4[:20]), options4[24:]...), 0, "45"))},
	"options changed":             {options4, finished(set(options4, 20, "00"))},
	"more fragments":              {plain4, finished(set(plain4, 6, "6000"))},
	"another part":                {plain4, finished(set(plain4, 6, "4001"))},
	"the bit that means nothing":  {plain4, finished(set(plain4, 6, "c000"))},
	"to IPv6":                     {plain4, plain6},
	"to IPv4":                     {plain6, udpPacket("hello, world of IPv4")},
	"another next header":         {plain6, finished(set(plain6, 6, "fd"))},
	"an extension header added":   {plain6, finished(set(insert(plain6, 40, "1100010400000000"), 6, "3c"))},
	"one taken away":              {extension6, finished(append(bytes.Clone(extension6[:40]), extension6[48:]...))},
	"padding changed":             {extension6, finished(set(extension6, 50, "00000000"))},
	"an order changed":            {extension6, finished(set(extension6, 6, "3c"))},
	"another fragment":            {fragment6, finished(set(fragment6, 44, "00000008"))},
	"from a length that is wrong": {set(plain4, 0, "4f"), plain4},
}

func TestRewriteThatNewKernelsDropIsRefused(t *testing.T) {
	for name, c := range forbidden {
		t.Run(name, func(t *testing.T) {
			p := nfqueue.Packet{Payload: c.from, Family: family(c.from)}
			for kind, v := range map[string]nfqueue.Verdict{
				"finished": nfqueue.Accept().WithPayload(c.to),
				"raw":      nfqueue.Accept().WithRawPayload(c.to),
			} {
				if err := given(t, p, sameHeaders)(v); !errors.Is(err, nfqueue.ErrRewriteForbidden) {
					t.Errorf("%s: got %v", kind, err)
				}
				always := family(c.from) != family(c.to) // other kernels lose it too
				if err := given(t, p, anyRewrite)(v); errors.Is(err, nfqueue.ErrRewriteForbidden) != always || err != nil && !always {
					t.Errorf("%s, before 7.2: got %v", kind, err)
				}
			}
		})
	}
}

func TestRawPayloadMustSayItsLengthToNewKernels(t *testing.T) {
	for name, c := range map[string]struct{ from, to []byte }{
		"IPv4, longer than it says":  {plain4, append(bytes.Clone(plain4), 0)},
		"IPv4, shorter than it says": {plain4, plain4[:len(plain4)-1]},
		"IPv6, longer than it says":  {plain6, append(bytes.Clone(plain6), 0)},
		"IPv6, shorter than it says": {plain6, plain6[:len(plain6)-1]},
		"IPv4 of another version":    {plain4, set(plain4, 0, "65")},
		"IPv6 of another version":    {plain6, set(plain6, 0, "40")},
	} {
		t.Run(name, func(t *testing.T) {
			p := nfqueue.Packet{Payload: c.from, Family: family(c.from)}
			v := nfqueue.Accept().WithRawPayload(c.to)
			if err := given(t, p, sameHeaders)(v); !errors.Is(err, nfqueue.ErrRewriteForbidden) {
				t.Errorf("got %v", err)
			}
			always := c.to[0]>>4 != c.from[0]>>4 // other kernels lose it too
			if err := given(t, p, anyRewrite)(v); (err != nil) != always {
				t.Errorf("before 7.2: got %v", err)
			}
		})
	}
}

func TestRewriteThatNewKernelsTakeIsAllowed(t *testing.T) {
	for name, c := range map[string]struct{ from, to []byte }{
		"nothing":               {plain4, plain4},
		"a longer body":         {plain4, append(bytes.Clone(plain4), "more"...)},
		"no body":               {plain4, plain4[:28]},
		"another protocol":      {plain4, set(plain4, 9, "fd")},
		"other addresses":       {plain4, set(plain4, 12, "0a000001 0a000002")},
		"service, ID, hops":     {plain4, set(set(set(plain4, 1, "b8"), 4, "1234"), 8, "01")},
		"may be fragmented":     {plain4, set(plain4, 6, "0000")},
		"must not be again":     {set(plain4, 6, "0000"), plain4},
		"behind options":        {options4, append(bytes.Clone(options4), "more"...)},
		"IPv6, a longer body":   {plain6, append(bytes.Clone(plain6), "more"...)},
		"IPv6, class and hops":  {plain6, set(set(plain6, 0, "6fffffff"), 7, "01")},
		"IPv6, other addresses": {plain6, set(plain6, 8, "fe80")},
		"behind extensions":     {extension6, append(bytes.Clone(extension6), "more"...)},
		"of a fragment":         {fragment6, set(fragment6, 7, "01")},
	} {
		t.Run(name, func(t *testing.T) {
			p := nfqueue.Packet{Payload: c.from, Family: family(c.from)}
			raw := finished(bytes.Clone(c.to))
			for kind, v := range map[string]nfqueue.Verdict{
				"finished": nfqueue.Accept().WithPayload(c.to),
				"raw":      nfqueue.Accept().WithRawPayload(raw),
			} {
				if err := given(t, p, sameHeaders)(v); err != nil {
					t.Errorf("%s: got %v", kind, err)
				}
			}
		})
	}
}

// Outside of IPv4 and IPv6 new kernels let nothing be rewritten, and in user
// namespaces nothing at all. What is not a payload may be changed.
func TestNewKernelsLetSomePacketsNotBeRewritten(t *testing.T) {
	bridge := nfqueue.Packet{Payload: plain4, Family: nfnl.Bridge, LinkHeader: make([]byte, 14)}
	link := nfqueue.Accept().WithVLAN(attr.VLAN{Protocol: 0x8100}).WithLinkHeader(make([]byte, 14)).WithMark(7)
	for name, c := range map[string]struct {
		p nfqueue.Packet
		r func(*nfqueue.Queue)
	}{
		"bridge":         {bridge, sameHeaders},
		"ARP":            {nfqueue.Packet{Payload: make([]byte, 28), Family: nfnl.ARP, Proto: 0x0806}, sameHeaders},
		"user namespace": {packet("x"), noRewrite},
		"both":           {bridge, noRewrite},
	} {
		t.Run(name, func(t *testing.T) {
			verdict := given(t, c.p, c.r)
			if err := verdict(nfqueue.Accept().WithRawPayload(c.p.Payload)); !errors.Is(err, nfqueue.ErrRewriteForbidden) {
				t.Errorf("got %v", err)
			}
			if err := verdict(nfqueue.Accept().WithMark(7)); err != nil {
				t.Errorf("a mark: got %v", err)
			}
			if c.p.Family != nfnl.Bridge {
				return
			}
			if err := verdict(link); err != nil {
				t.Errorf("the link layer: got %v", err)
			}
		})
	}
}

// What counts is the packet as it came, also when it was edited in place, and
// for a ticket that is answered later.
func TestForbiddenEditInPlaceGetsTheFallback(t *testing.T) {
	reported := new(testkit.Errors)
	q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: reported.Add})
	q.Restrict(nfqueue.SameHeaders)
	tickets := make(chan nfqueue.Ticket, 1)
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		copy(p.Payload[20:], []byte{0, 0, 0, 0})
		if p.ID == 2 {
			tickets <- p.Ticket()
			return nfqueue.Hold()
		}
		return nfqueue.Accept().WithPayload(p.Payload)
	})
	wantVerdict(t, k, k.Enqueue(nfqueue.Packet{Payload: options4}), fallback)
	reported.Next(t, nfqueue.ErrRewriteForbidden)

	id := k.Enqueue(nfqueue.Packet{Payload: options4})
	ticket := testkit.Next(t, tickets)
	if err := ticket.SetVerdict(nfqueue.Accept().WithPayload(set(options4, 20, "00000000"))); !errors.Is(err, nfqueue.ErrRewriteForbidden) {
		t.Errorf("got %v", err)
	}
	wantVerdict(t, k, id, fallback)
	if s := q.Stats(); s.Refused != 2 || s.Fallbacks != 2 {
		t.Errorf("stats %+v", s)
	}
}
