package nfqueue_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"syscall"
	"testing"
	"unsafe"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/captured"
	"github.com/nfpacket/nfpacket/internal/checksum"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// FuzzPacket checks that any message is decoded into fields that lie within it,
// or refused, and that what is decoded can be shown.
func FuzzPacket(f *testing.F) {
	for _, message := range [][]byte{fromLinux(), full(), plainMessage(), bridged(), packetMessage(1, tlv(3, "00")), {}} {
		f.Add(message)
	}
	for _, file := range captured.Native(f) {
		for _, m := range file.Messages(f, typePacket) {
			f.Add(m.Append(nil))
		}
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		m, _, err := nfnl.Next(message)
		if err != nil {
			return
		}
		var p nfqueue.Packet
		if err := p.Decode(m); err != nil && !errors.Is(err, attr.ErrMalformed) && !errors.Is(err, nfnl.ErrMalformed) {
			t.Errorf("got %v", err)
		}
		for name, field := range map[string][]byte{
			"Payload": p.Payload, "LinkHeader": p.LinkHeader, "HardwareAddr": p.HardwareAddr, "SecurityContext": p.SecurityContext,
		} {
			if !within(message, field) || cap(field) != len(field) {
				t.Errorf("%s is not within the message, or has room behind it", name)
			}
		}
		if p.Len < len(p.Payload) || p.Queue != m.Resource {
			t.Errorf("length %d, queue %d", p.Len, p.Queue)
		}
		if p.String() == "" || len(p.LogValue().Group()) == 0 {
			t.Error("no words for it")
		}
		if c := p.Clone(); c.String() != p.String() {
			t.Errorf("the clone of %v is %v", &p, c)
		}
	})
}

// within reports whether part is a part of b.
func within(b, part []byte) bool {
	if len(part) == 0 {
		return true
	}
	start, at := uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return at >= start && at+uintptr(len(part)) <= start+uintptr(len(b))
}

// FuzzVerdict checks that a fake kernel, which does not share the library's
// encoder, takes any verdict as it was meant, or that it is refused for a reason.
func FuzzVerdict(f *testing.F) {
	f.Add(uint8(1), uint8(0), uint16(0), uint32(0), uint32(0), []byte(nil))
	f.Add(uint8(4), uint8(0xff), uint16(9), uint32(7), uint32(6), udpPacket("hello"))
	f.Add(uint8(1), uint8(4), uint16(9), uint32(7), uint32(6), []byte("raw"))
	f.Add(uint8(1), uint8(4), uint16(9), uint32(7), uint32(6), []byte("\x60")) // IPv6 for IPv4
	f.Add(uint8(2), uint8(8), uint16(9), uint32(7), uint32(6), behindUDP())
	f.Fuzz(func(t *testing.T, action, changes uint8, queue uint16, mark, priority uint32, payload []byte) {
		want, given := verdicts(action, changes, queue, mark, priority, payload)
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, Fallback: fallback})
		id := k.Enqueue(packet("x"))
		b := q.NewBatch()
		receive(t, q, b, 1)
		p := b.Packets[0]
		if _, err := given.Append(nil, &p); err != nil {
			want = fallback
			reasons := []error{nfqueue.ErrPayload, nfqueue.ErrNotIP, nfqueue.ErrBadHeader, nfqueue.ErrRewriteForbidden}
			if !slices.ContainsFunc(reasons, func(reason error) bool { return errors.Is(err, reason) }) {
				t.Errorf("refused for %v", err)
			}
		}
		before := bytes.Clone(payload)
		b.Verdicts[0] = given
		if err := q.Send(b); err != nil {
			t.Fatal(err)
		}
		wantVerdict(t, k, id, want)
		if !bytes.Equal(payload, before) {
			t.Error("the payload was written to")
		}
	})
}

// behindUDP returns a packet with bytes behind its UDP datagram.
func behindUDP() []byte {
	b := udpPacket("hello, hidden")
	binary.BigEndian.PutUint16(b[24:], 8+5)
	return b
}

// verdicts returns what the kernel should see, and the verdict that is given.
func verdicts(action, changes uint8, queue uint16, mark, priority uint32, payload []byte) (want, given nfqueue.Verdict) {
	v := []nfqueue.Verdict{
		nfqueue.Drop(), nfqueue.Accept(), nfqueue.Stop(), nfqueue.Repeat(), nfqueue.Requeue(queue), nfqueue.RequeueOrAccept(queue),
	}[action%6]
	if changes&1 != 0 {
		v = v.WithMark(mark)
	}
	if changes&2 != 0 {
		v = v.WithPriority(priority)
	}
	if changes&4 != 0 {
		return v.WithRawPayload(payload), v.WithRawPayload(payload)
	}
	if changes&8 == 0 {
		return v, v
	}
	finished := bytes.Clone(payload)
	_ = checksum.FinishWith(finished, checksum.Options{KeepSurplus: true}) // if it fails, so must the verdict
	return v.WithRawPayload(finished), v.WithPayload(payload)
}

// FuzzDatagram puts anything on the socket. It is dealt with, and the packet
// behind it gets its verdict, unless it was the kernel's word that there will be
// no verdicts any more.
func FuzzDatagram(f *testing.F) {
	refusal := nfnltest.AppendReply(nil, nfnl.Message{Type: 0x0301, Seq: 1}, syscall.EINVAL)
	for _, datagram := range [][]byte{fromLinux(), full(), plainMessage(), packetMessage(1, tlv(3, "00")), packetMessage(9), refusal, []byte("nonsense")} {
		f.Add(datagram)
		f.Add(append(bytes.Clone(datagram), plainMessage()...))
	}
	for _, file := range captured.Native(f) {
		for _, datagram := range file.Datagrams {
			f.Add(datagram)
		}
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7, Fallback: fallback, Batch: 2, CopyRange: 256})
		if len(datagram) > 0 {
			k.Deliver(datagram)
		}
		k.Enqueue(packet("x"))
		b := q.NewBatch()
		for len(k.Waiting()) > 0 {
			err := q.Receive(b)
			if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENODEV) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for i := range b.Packets {
				if p := &b.Packets[i]; cap(p.Payload) != len(p.Payload) {
					t.Errorf("%d bytes behind the payload", cap(p.Payload)-len(p.Payload))
				}
				b.Verdicts[i] = nfqueue.Accept()
			}
			if err := q.Send(b); err != nil {
				t.Fatal(err)
			}
		}
	})
}
