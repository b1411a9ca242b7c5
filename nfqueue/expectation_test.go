package nfqueue_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// expectation is of a connection that tracked's leads to.
func expectation() attr.Expectation {
	return attr.Expectation{
		Tuple: attr.Tuple{Protocol: 17, Src: netip.MustParseAddrPort("192.0.2.2:69"), Dst: netip.MustParseAddrPort("192.0.2.1:4660")},
		Mask:  netip.MustParseAddrPort("255.255.255.255:0"),
	}
}

// helped is a packet of a connection with a helper.
func helped(id uint32) []byte {
	nest := connection()[4:]
	return packetMessage(id, tlv(0x800b, nest, testkit.List(tlv(0x8005, testkit.List(tlv(1, []byte("tftp\x00")))))), tlv(10, udpPacket("x")))
}

func TestExpectationInAVerdict(t *testing.T) {
	e := expectation()
	want := tlv(0x800f, attr.AppendExpectation(nil, &e))
	for name, c := range map[string]struct {
		v         nfqueue.Verdict
		conntrack []byte
	}{
		// The kernel wants NFQA_CT, if only an empty one.
		"alone":             {nfqueue.Accept().WithExpectation(e), tlv(0x800b)},
		"and a mark":        {nfqueue.Accept().WithExpectation(e).WithConntrackMark(7, 1), tlv(0x800b, tlv(8, "00000001"), tlv(21, "00000001"))},
		"the last one wins": {nfqueue.Accept().WithExpectation(attr.Expectation{}).WithExpectation(e), tlv(0x800b)},
	} {
		t.Run(name, func(t *testing.T) {
			p, buf := decode(t, helped(1)), make([]byte, 0, 1024)
			b, err := c.v.Append(buf, p)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := parse(t, b).Attrs[12:], wire(c.conntrack, want); !bytes.Equal(got, want) {
				t.Errorf("got  %x\nwant %x", got, want)
			}
			noAllocs(t, "Append of an expectation", func() {
				if _, err := c.v.Append(buf, p); err != nil {
					t.Fatal(err)
				}
			})
		})
	}
}

// What the kernel would ignore without a word is refused, in whatever way the
// verdict is given, and the packet gets the fallback.
func TestExpectationsThatTheKernelWouldIgnore(t *testing.T) {
	six := expectation()
	six.Tuple.Src, six.Tuple.Dst = netip.MustParseAddrPort("[::1]:1"), netip.MustParseAddrPort("[::1]:2")
	six.Mask = netip.MustParseAddrPort("[::]:0")
	both, only := nfqueue.Config{Conntrack: true}, nfqueue.Config{ConntrackVerdicts: true}
	for name, c := range map[string]struct {
		cfg     nfqueue.Config
		message []byte
		e       attr.Expectation
		want    error
	}{
		"it has a helper":            {both, helped(1), expectation(), nil},
		"it has none":                {both, tracked(1), expectation(), nfqueue.ErrNoHelper},
		"who knows":                  {only, packetMessage(1, tlv(10, udpPacket("x"))), expectation(), nil},
		"untracked":                  {both, packetMessage(1, tlv(10, udpPacket("x"))), expectation(), nfqueue.ErrUntracked},
		"neither field of Config":    {nfqueue.Config{}, helped(1), expectation(), nfqueue.ErrUntracked},
		"the zero Expectation":       {both, helped(1), attr.Expectation{}, nfqueue.ErrExpectation},
		"IPv6 for a packet of IPv4":  {both, helped(1), six, nfqueue.ErrExpectation},
		"the same, with helpers off": {only, packetMessage(1, tlv(10, udpPacket("x"))), six, nfqueue.ErrExpectation},
	} {
		v := nfqueue.Accept().WithExpectation(c.e)
		sent := "1 accept"
		if c.want != nil {
			sent = "1 stop"
		}
		c.cfg.Fallback = nfqueue.Stop()
		t.Run(name+", by the handler", func(t *testing.T) {
			reported := new(testkit.Errors)
			c.cfg.OnError = reported.Add
			q, w := tap(t, c.cfg)
			w.Deliver(c.message)
			start(t, q, always(v))
			w.wantSent(t, sent)
			if c.want != nil {
				reported.Next(t, c.want)
			}
			reported.WantNoMore(t)
		})
		t.Run(name+", by a ticket", func(t *testing.T) {
			q, w := tap(t, c.cfg)
			w.Deliver(c.message)
			ticket := testkit.Next(t, hold(t, q))
			if err := ticket.SetVerdict(v); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			w.wantSent(t, sent)
		})
	}
}

// It is refused by the packet that it is for, wherever the user has put that.
func TestExpectationIsOnThePacketAsItCame(t *testing.T) {
	v := nfqueue.Accept().WithExpectation(expectation())
	for name, edit := range map[string]func(b *nfqueue.Batch){
		"cut off":  func(b *nfqueue.Batch) { b.Packets = nil },
		"reversed": func(b *nfqueue.Batch) { slices.Reverse(b.Packets) },
	} {
		t.Run(name, func(t *testing.T) {
			reported := new(testkit.Errors)
			q, w := tap(t, nfqueue.Config{Conntrack: true, Fallback: nfqueue.Stop(), OnError: reported.Add})
			w.Deliver(helped(1))
			w.Deliver(tracked(2))
			b := q.NewBatch()
			receive(t, q, b, 2)
			b.Verdicts[0], b.Verdicts[1] = v, v
			edit(b)
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
			w.wantSent(t, "1 accept, 2 stop")
			reported.Next(t, nfqueue.ErrNoHelper)
			reported.WantNoMore(t)
		})
	}
}

func TestExpectationFitsOnePacketOnly(t *testing.T) {
	v := nfqueue.Accept().WithExpectation(expectation())
	q, w := tap(t, nfqueue.Config{Conntrack: true})
	w.Deliver(helped(1))
	holdAll(t, q, 1, nfqueue.Hold())
	if err := q.SetVerdict(1, v); err == nil || !strings.Contains(err.Error(), "Ticket") {
		t.Errorf("SetVerdict by ID: %v", err)
	}
	if err := q.SetVerdictUpTo(1, v); err == nil {
		t.Error("SetVerdictUpTo takes it")
	}
	if _, err := (nfqueue.Config{Fallback: v}).Bind(); err == nil {
		t.Error("Config.Fallback takes it")
	}
	later := nfqueue.HoldFor(time.Second, v)
	w.Deliver(helped(2))
	b := q.NewBatch()
	receive(t, q, b, 1)
	b.Verdicts[0] = later
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	w.wantSent(t, "2 drop") // the fallback
}

// Two verdicts that are equal are one message, unless they are about
// connections.
func TestExpectationsAreNoRun(t *testing.T) {
	v := nfqueue.Accept().WithExpectation(expectation())
	q, w := tap(t, nfqueue.Config{Conntrack: true, FlushAfter: time.Hour})
	b := q.NewBatch()
	w.Deliver(helped(1))
	w.Deliver(helped(2))
	receive(t, q, b, 2)
	b.Verdicts[0], b.Verdicts[1] = v, v
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	w.wantSent(t, "1 accept, 2 accept")
}

func TestExpectationReachesTheFakeKernel(t *testing.T) {
	q, k := open(t, nfqueue.Config{ConntrackVerdicts: true})
	e := expectation()
	e.Helper, e.Permanent, e.Function = "tftp", true, "nat-follow-master"
	e.NAT = attr.ExpectationNAT{Reply: true, To: netip.MustParseAddrPort("192.0.2.9:9")}
	want := nfqueue.Accept().WithExpectation(e)
	start(t, q, always(want))
	wantVerdict(t, k, k.Enqueue(packet("x")), want)
}

func TestVerdictsWithExpectationsAreEqualIfTheyDoTheSame(t *testing.T) {
	e, other := expectation(), expectation()
	other.Permanent = true
	all := []nfqueue.Verdict{nfqueue.Accept(), nfqueue.Accept().WithExpectation(e), nfqueue.Accept().WithExpectation(other)}
	for i, a := range all {
		for j, b := range all {
			if a.Equal(b) != (i == j) {
				t.Errorf("%v equals %v: %v", a, b, i != j)
			}
		}
	}
	if v := nfqueue.Accept().WithExpectation(expectation()); !v.Equal(all[1]) {
		t.Error("two copies of an expectation are not equal")
	}
	if got, ok := all[2].Expectation(); got != other || !ok {
		t.Errorf("expects %+v, %v", got, ok)
	}
	if _, ok := all[0].Expectation(); ok {
		t.Error("Accept expects something")
	}
}
