//go:build linux

package rewrite

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// decideByHand accepts a packet with a payload, and past what this library refuses.
func decideByHand(t *testing.T, q *nfqueue.Queue, p *nfqueue.Packet, payload []byte) {
	t.Helper()
	b := engine.Begin(nil, &engine.Message{Type: 0x0301, Flags: engine.FlagRequest, Resource: p.Queue}) // NFQNL_MSG_VERDICT
	b = attr.AppendBytes(b, 2, binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, p.ID))                 // NFQA_VERDICT_HDR, NF_ACCEPT
	b = engine.End(attr.AppendBytes(b, 10, payload), 0)                                                 // NFQA_PAYLOAD
	raw, err := q.SyscallConn()
	testkit.Must(t, err)
	testkit.Must(t, raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) }))
	testkit.Must(t, err)
}

// An edit changes a UDP packet with a body of five bytes.
type edit struct {
	name      string
	forbidden bool // by Linux 7.2
	options   bool // the sender's packets have some
	do        func(b []byte) []byte
}

// change returns an edit's function that sets one byte, counted from the front.
func change(i int, to byte) func([]byte) []byte {
	return func(b []byte) []byte {
		b[i] = to
		return b
	}
}

// longerBy appends a byte to the body.
func longerBy(b []byte) []byte { return append(b, '!') }

var edits = map[lab.Family][]edit{
	lab.IPv4: {
		{"a longer body", false, false, longerBy},
		{"service", false, false, change(1, 0xb8)},
		{"hops", false, false, change(8, 7)},
		{"may be fragmented", false, false, change(6, 0)},
		{"must not be", false, false, change(6, 0x40)},
		{"options stay", false, true, longerBy},
		{"options added", true, false, func(b []byte) []byte {
			b[0] = 0x46
			return slices.Insert(b, 20, 1, 1, 1, 1)
		}},
		{"options changed", true, true, change(20, 0)},
		{"options taken away", true, true, func(b []byte) []byte {
			b[0] = 0x45
			return slices.Delete(b, 20, 24)
		}},
		{"the reserved bit", true, false, change(6, 0x80)},
	},
	lab.IPv6: {
		{"a longer body", false, false, longerBy},
		{"class", false, false, change(1, 0x10)},
		{"hops", false, false, change(7, 7)},
		{"options stay", false, true, longerBy},
		{"options added", true, false, func(b []byte) []byte {
			next := b[6]
			b[6] = unix.IPPROTO_DSTOPTS
			return slices.Insert(b, 40, next, 0, 1, 4, 0, 0, 0, 0)
		}},
		{"options changed", true, true, change(42, 0)}, // padding of another kind
		{"options taken away", true, true, func(b []byte) []byte {
			b[6] = b[40]
			return slices.Delete(b, 40, 48)
		}},
	},
}

// senderOptions are four bytes of IPv4 options, and eight of IPv6's for the
// destination.
var senderOptions = map[lab.Family]sockopt{
	lab.IPv4: {unix.IPPROTO_IP, unix.IP_OPTIONS, "\x01\x01\x01\x00"},
	lab.IPv6: {unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00"},
}

// What this library refuses is what the kernel drops, and what it does not
// refuse arrives: each edit is given to both. It fails on an older kernel that got
// the rules of 7.2 later, of which this library does not know.
func TestKernelDropsTheRewritesThatAreRefused(t *testing.T) {
	all := endtoend.ForbidsRewrites(t)
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		for _, e := range edits[v.Family] {
			t.Run(e.name, func(t *testing.T) { e.show(t, v, all || e.forbidden && endtoend.RestrictsRewrites()) })
		}
	})
}

// show gives the edit of one packet to the library, and of another to the kernel.
func (e edit) show(t *testing.T, v endtoend.IPVersion, refused bool) {
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: reported.Add})
	if e.options {
		setOption(t, l.From, senderOptions[v.Family])
	}
	held := make(chan *nfqueue.Packet, 1)
	first := true
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		switch body := p.Payload[len(p.Payload)-5:]; {
		case string(body) == "after":
			return nfqueue.Accept()
		case first:
			first = false
			return nfqueue.Accept().WithPayload(e.do(slices.Clone(p.Payload)))
		}
		held <- p.Clone()
		return nfqueue.Hold()
	})

	endtoend.Send(t, l.From, "hello")
	if refused {
		endtoend.WantReceived(t, l.To, "hello")
		reported.WantOnly(t, nfqueue.ErrRewriteForbidden)
	} else {
		endtoend.WantReceived(t, l.To, e.body())
		if len(reported.All()) > 0 {
			t.Errorf("OnError was called with %v", reported.All())
		}
	}

	endtoend.Send(t, l.From, "hello")
	p := testkit.Next(t, held)
	b := e.do(p.Payload)
	testkit.Must(t, nfqueue.Finish(b))
	decideByHand(t, l.Queue, p, b)
	endtoend.Send(t, l.From, "after")
	if dropped := endtoend.Receive(t, l.To) == "after"; dropped != refused {
		t.Errorf("the kernel drops it: %v; the library refuses it: %v", dropped, refused)
	}
}

// body returns what "hello" becomes.
func (e edit) body() string {
	if bytes.HasSuffix(e.do(make([]byte, 100)), []byte("!")) {
		return "hello!"
	}
	return "hello"
}

// A raw payload that contradicts its own length is cut by older kernels.
func TestRawPayloadLongerThanItSaysIsRefused(t *testing.T) {
	endtoend.EachVersion(t, func(t *testing.T, v endtoend.IPVersion) {
		var reported testkit.Errors
		l := endtoend.NewQueuedUDP(t, v, lab.Output, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: reported.Add})
		endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			b := append(bytes.Replace(p.Payload, []byte("hello"), []byte("olleh"), 1), 0)
			testkit.Must(t, nfqueue.Finish(b[:len(b)-1]))
			return nfqueue.Accept().WithRawPayload(b)
		})
		endtoend.Send(t, l.From, "hello")
		if !endtoend.RestrictsRewrites() {
			endtoend.WantReceived(t, l.To, "olleh")
			return
		}
		endtoend.WantReceived(t, l.To, "hello")
		reported.WantOnly(t, nfqueue.ErrRewriteForbidden)
	})
}
