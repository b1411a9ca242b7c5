package nflog_test

import (
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// losses returns how many packets OnError was called with are lost, one number for
// each call. Other errors fail the test.
func losses(t *testing.T, o *testkit.Errors) (n []uint64) {
	t.Helper()
	for _, err := range o.Take() {
		var lost *nfnl.OverrunError
		if !errors.As(err, &lost) || !errors.Is(err, syscall.ENOBUFS) || lost.Bypassed {
			t.Errorf("OnError was called with %v", err)
			continue
		}
		n = append(n, lost.Lost)
	}
	return n
}

func TestLostPacketsAreCountedAndTold(t *testing.T) {
	var o testkit.Errors
	r, k := open(t, nflog.Config{OnError: o.Add})
	k.Lose(5, 3) // before the first
	k.Log(packets("ab")...)
	k.Lose(5, 7)
	k.Log(packets("c")...)
	if s := next(t, r, 3); s != "abc" {
		t.Errorf("got %q", s)
	}
	k.Lose(5, 2)
	k.Log(packets("d")...)
	k.Lose(5, 100) // with nothing behind it
	if s := next(t, r, 1); s != "d" {
		t.Errorf("got %q", s)
	}
	if n := losses(t, &o); !slices.Equal(n, []uint64{10, 2}) { // one call a receive
		t.Errorf("OnError was called for %v", n)
	}
	wantStats(t, r, 4, 12, 0)
}

func TestLossIsCountedByGroup(t *testing.T) {
	var o testkit.Errors
	r, k := open(t, nflog.Config{Groups: []uint16{5, 6, 0}, GlobalSequence: true, Batch: 8, OnError: o.Add})
	k.Log(nflog.Packet{Group: 6}, nflog.Packet{Group: 5}, nflog.Packet{Group: 0}, nflog.Packet{Group: 6})
	k.Lose(5, 2)
	k.Lose(0, 4)
	k.Log(nflog.Packet{Group: 5}, nflog.Packet{Group: 6}, nflog.Packet{Group: 0})
	b := r.NewBatch()
	receive(t, r, b)
	if want := uint64(6); r.Stats().Lost != want {
		t.Errorf("%d lost, want %d", r.Stats().Lost, want)
	}
	var texts []string
	for _, err := range o.Take() {
		text, _, _ := strings.Cut(err.Error(), " packets")
		texts = append(texts, text)
	}
	if want := []string{"nflog 5: 2", "nflog 0: 4"}; !slices.Equal(texts, want) {
		t.Errorf("OnError was called with %q, want %q", texts, want)
	}
	var numbers [][3]uint32
	for _, p := range b.Packets {
		numbers = append(numbers, [3]uint32{uint32(p.Group), p.Seq, p.GlobalSeq})
	}
	want := [][3]uint32{{6, 0, 1}, {6, 1, 4}, {5, 0, 2}, {0, 0, 3}, {5, 3, 11}, {6, 2, 12}, {0, 5, 13}}
	if !slices.Equal(numbers, want) {
		t.Errorf("group, number, global number: %v, want %v", numbers, want)
	}
}

func TestSequenceNumbersWrap(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Lose(5, 1<<31-1)
	k.Log(packets("a")...)
	k.Lose(5, 1<<31-4)
	k.Log(packets("b")...) // 0xfffffffc
	k.Log(packets("cdef")...)
	k.Lose(5, 5)
	k.Log(packets("g")...)
	next(t, r, 7)
	wantStats(t, r, 7, 1<<31-1+1<<31-4+5, 0)
}

func TestNumberFromThePastIsNoLoss(t *testing.T) {
	r, k := open(t, nflog.Config{})
	for _, seq := range []uint32{0, 1, 2, 0, 1, 4} {
		k.Deliver(nflogtest.AppendPacket(nil, &nflog.Packet{Group: 5, Seq: seq, Payload: []byte("a")}))
	}
	next(t, r, 6)
	wantStats(t, r, 6, 2, 0)
}

func TestPacketWithoutANumberIsNoLoss(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.Log(packets("a")...)
	k.Deliver(message(packetHeader()).Append(nil))
	k.Log(packets("b")...)
	b := r.NewBatch()
	receive(t, r, b)
	wantStats(t, r, 3, 0, 0)
}

func TestMalformedMessagesEndNothing(t *testing.T) {
	good := func(seq uint32) []byte {
		return nflogtest.AppendPacket(nil, &nflog.Packet{Group: 5, Seq: seq, Payload: []byte("a")})
	}
	bad := func(m nfnl.Message, attrs ...[]byte) []byte {
		m.Attrs = slices.Concat(attrs...)
		return m.Append(nil)
	}
	packet := nfnl.Message{Type: 0x0400, Resource: 5}
	seq := tlv(12, 0, 0, 0, 0)
	for _, c := range []struct {
		name string
		data []byte
		left uint64 // packets lost that follow in the datagram, or are no longer numbered
	}{
		{"a packet without a header", bad(packet, seq), 0},
		{"a bad attribute behind the number", bad(packet, packetHeader(), seq, tlv(2, 1)), 0},
		{"a bad attribute before the number", bad(packet, packetHeader(), tlv(2, 1), seq), 1},
		{"a short number", bad(packet, packetHeader(), tlv(12, 0)), 1},
		{"a group that is not ours", bad(nfnl.Message{Type: 0x0400, Resource: 4}, packetHeader()), 1},
		{"a packet of a queue", bad(nfnl.Message{Type: 0x0300, Resource: 5}), 1},
		{"an unknown message of the log", bad(nfnl.Message{Type: 0x0407, Resource: 5}), 1},
		{"an answer that nobody asked for", nfnlReply(0x0301), 1},
		{"bytes", []byte("these are not a message, and no 5000 bytes either"), 1},
		{"too few bytes", []byte{1}, 1},
		{"a length beyond the datagram", append([]byte{0xff, 0xff}, good(0)[2:]...), 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			var o testkit.Errors
			r, k := open(t, nflog.Config{OnError: o.Add})
			k.Deliver(c.data)
			k.Deliver(good(1))
			if s := next(t, r, 1); s != "a" {
				t.Errorf("got %q", s)
			}
			wantStats(t, r, 1, c.left, 1)
			errs := slices.DeleteFunc(o.Take(), func(err error) bool { return errors.Is(err, syscall.ENOBUFS) })
			if len(errs) != 1 || !errors.Is(errs[0], nfnl.ErrMalformed) && !strings.Contains(errs[0].Error(), "malformed") {
				t.Errorf("OnError was called with %v", errs)
			}
		})
	}
}

// nfnlReply returns an acknowledgement of a message of that type.
func nfnlReply(typ nfnl.Type) []byte {
	echo := nfnl.Message{Type: typ}.Append(nil)[:16]
	return nfnl.Message{Type: 2, Attrs: append(make([]byte, 4), echo...)}.Append(nil)
}

func TestSecondAnswerIsIgnored(t *testing.T) {
	var o testkit.Errors
	r, k := open(t, nflog.Config{OnError: o.Add})
	k.Deliver(nfnlReply(typeConfig))
	k.Log(packets("a")...)
	next(t, r, 1)
	if errs := o.Take(); errs != nil {
		t.Errorf("OnError was called with %v", errs)
	}
	wantStats(t, r, 1, 0, 0)
}

func TestPacketsBehindAMalformedOneArrive(t *testing.T) {
	r, k := open(t, nflog.Config{})
	datagram := nflogtest.AppendPacket(nil, &nflog.Packet{Group: 5, Seq: 0, Payload: []byte("a")})
	datagram = message(tlv(12, 0, 0, 0, 1)).Append(datagram) // no packet header
	datagram = nflogtest.AppendPacket(datagram, &nflog.Packet{Group: 5, Seq: 2, Payload: []byte("c")})
	datagram = append(datagram, "and an end that is no message"...)
	k.Deliver(datagram)
	if s := receive(t, r, r.NewBatch()); s != "ac" {
		t.Errorf("got %q", s)
	}
	wantStats(t, r, 2, 0, 2)
}
