//go:build linux

package endtoend

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/kernelversion"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"golang.org/x/sys/unix"
)

// restricts says whether the kernel has the rules of Linux 7.2 for rewrites.
func restricts() bool { return kernelversion.AtLeast(7, 2) }

// inUserNamespace says whether that is where the tests are. It is where they make
// their network namespaces.
func inUserNamespace(t testing.TB) bool {
	t.Helper()
	lab.Require(t)
	owner, err := os.Readlink("/proc/self/ns/user")
	must(t, err)
	return owner != "user:[4026531837]" // PROC_USER_INIT_INO
}

// confined says whether the kernel lets nothing be rewritten in the namespaces of
// the tests.
func confined(t testing.TB) bool { return restricts() && inUserNamespace(t) }

// needRewriting skips the test where nothing can be rewritten, as
// TestKernelDropsTheRewritesThatAreRefused shows.
func needRewriting(t testing.TB) {
	t.Helper()
	if confined(t) {
		t.Skip("this kernel lets nothing be rewritten in a user namespace")
	}
}

// tellUserNamespace is a helper's role: it says whether its socket's network
// namespace belongs to a user namespace, and stays.
func tellUserNamespace() error {
	c, err := nfnl.Dial(nfnl.Config{})
	if err != nil {
		return err
	}
	defer c.Close()
	fmt.Println(c.InUserNamespace())
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

func TestOwnerOfTheNetworkNamespaceIsTold(t *testing.T) {
	n := newNet(t)
	c, err := nfnl.Dial(nfnl.Config{NetNS: n.FD()})
	must(t, err)
	defer c.Close()
	if got, want := c.InUserNamespace(), inUserNamespace(t); got != want {
		t.Errorf("a namespace of the tests: %v, want %v", got, want)
	}

	for _, w := range []struct {
		name  string
		flags uintptr
		want  string
	}{
		{"its own", unix.CLONE_NEWNET, "true"},
		{"that of who made its user namespace", 0, "false"}, // for all that it can see
	} {
		h := startConfined(t, n, "confined", w.flags)
		if got := h.next(t); got != w.want {
			t.Errorf("a program in %s says %q, want %q", w.name, got, w.want)
		}
		ns, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", h.Process.Pid))
		must(t, err)
		defer ns.Close()
		there, err := nfnl.Dial(nfnl.Config{NetNS: int(ns.Fd())})
		must(t, err)
		defer there.Close()
		if got, want := there.InUserNamespace(), w.want == "true" || inUserNamespace(t); got != want {
			t.Errorf("seen from here, a program in %s: %v, want %v", w.name, got, want)
		}
	}
}

// decideByHand accepts a packet with a payload, and past what this library refuses.
func decideByHand(t *testing.T, q *nfqueue.Queue, p *nfqueue.Packet, payload []byte) {
	t.Helper()
	b := nfnl.Begin(nil, nfnl.Header{Type: 0x0301, Flags: nfnl.FlagRequest, Resource: p.Queue}) // NFQNL_MSG_VERDICT
	b = attr.AppendBytes(b, 2, binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, p.ID))         // NFQA_VERDICT_HDR, NF_ACCEPT
	b = nfnl.End(attr.AppendBytes(b, 10, payload), 0)                                           // NFQA_PAYLOAD
	raw, err := q.SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.Sendto(int(fd), b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}) }))
	must(t, err)
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
	all := confined(t)
	eachVersion(t, func(t *testing.T, v ipVersion) {
		for _, e := range edits[v.family] {
			t.Run(e.name, func(t *testing.T) { e.show(t, v, all || e.forbidden && restricts()) })
		}
	})
}

// show gives the edit of one packet to the library, and of another to the kernel.
func (e edit) show(t *testing.T, v ipVersion, refused bool) {
	var told collector
	l := newLane(t, v, lab.Output, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: told.add})
	if e.options {
		setOption(t, l.from, senderOptions[v.family])
	}
	held := make(chan *nfqueue.Packet, 1)
	first := true
	runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
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

	send(t, l.from, "hello")
	if refused {
		wantReceived(t, l.to, "hello")
		told.wantOnly(t, nfqueue.ErrRewriteForbidden)
	} else {
		wantReceived(t, l.to, e.body())
		if len(told.errs) > 0 {
			t.Errorf("OnError was told %v", told.errs)
		}
	}

	send(t, l.from, "hello")
	p := next(t, held)
	b := e.do(p.Payload)
	must(t, nfqueue.Finish(b))
	decideByHand(t, l.queue, p, b)
	send(t, l.from, "after")
	if dropped := receive(t, l.to) == "after"; dropped != refused {
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
	eachVersion(t, func(t *testing.T, v ipVersion) {
		var told collector
		l := newLane(t, v, lab.Output, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: told.add})
		runQueue(t, l.queue, func(p *nfqueue.Packet) nfqueue.Verdict {
			b := append(bytes.Replace(p.Payload, []byte("hello"), []byte("olleh"), 1), 0)
			must(t, nfqueue.Finish(b[:len(b)-1]))
			return nfqueue.Accept().WithRawPayload(b)
		})
		send(t, l.from, "hello")
		if !restricts() {
			wantReceived(t, l.to, "olleh")
			return
		}
		wantReceived(t, l.to, "hello")
		told.wantOnly(t, nfqueue.ErrRewriteForbidden)
	})
}

// Linux 7.2 lets no packet of a bridge be rewritten.
func TestPayloadOfABridgedPacketIsChangedOrRefused(t *testing.T) {
	c := newCrossing(t)
	changed := bytes.Clone(c.packet)
	changed[len(changed)-1] = '!'
	must(t, nfqueue.Finish(changed))

	for _, v := range []nfqueue.Verdict{nfqueue.Accept().WithPayload(changed), nfqueue.Accept().WithRawPayload(changed)} {
		c.verdicts <- v
		c.send(t, nil)
		next(t, c.seen)
		want := changed
		if restricts() {
			want = c.packet // by the fallback
		}
		if got := logged(t, c.arrived, 1)[0].Payload; !bytes.Equal(got, want) {
			t.Errorf("arrived % x, want % x", got, want)
		}
	}
	if restricts() {
		c.told.wantOnly(t, nfqueue.ErrRewriteForbidden)
	}

	c.verdicts <- nfqueue.Hold()
	c.send(t, nil)
	decideByHand(t, c.queue, next(t, c.seen), changed)
	c.verdicts <- nfqueue.Accept()
	c.send(t, nil)
	next(t, c.seen)
	if dropped := bytes.Equal(logged(t, c.arrived, 1)[0].Payload, c.packet); dropped != restricts() {
		t.Errorf("the kernel drops it: %v; the library refuses it: %v", dropped, restricts())
	}
}
