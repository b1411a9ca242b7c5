package nflog_test

import (
	"errors"
	"reflect"
	"slices"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/internal/captured"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfnl/nfnltest"
)

// FuzzPacket decodes anything. What it finds must be within the input, and
// come out the same when it is written and read again.
func FuzzPacket(f *testing.F) {
	for _, p := range []nflog.Packet{plainPacket(), inputPacket(), fullPacket()} {
		m, _, err := nfnl.Next(nflogtest.AppendPacket(nil, &p))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(m.Attrs)
		f.Add(m.Attrs[:len(m.Attrs)-30])
	}
	f.Add(tracked(attr.InfoNew, connection).Attrs)
	f.Add(slices.Concat(packetHeader(), tlv(0x8012))) // a connection of which nothing is known
	f.Add([]byte{})
	for _, file := range captured.Native(f) {
		for _, m := range file.Messages(f, typePacket) {
			f.Add(m.Attrs)
		}
	}
	f.Fuzz(func(t *testing.T, attrs []byte) {
		m := nfnl.Message{Type: 0x0400, Family: nfnl.IPv4, Resource: 5, Attrs: attrs}
		var p, again nflog.Packet
		err := p.Decode(m)
		for _, b := range [][]byte{p.Prefix, p.HardwareAddr, p.HardwareHeader, p.LinkHeader, p.Payload} {
			wantInside(t, b, attrs)
		}
		if err != nil {
			if !errors.Is(err, attr.ErrMalformed) && !errors.Is(err, nfnl.ErrMalformed) {
				t.Errorf("error %v", err)
			}
			return
		}
		if _, err := p.Conntrack(); err != nflog.ErrUntracked || p.ConntrackInfo != attr.InfoUntracked {
			if err != nil && err != nflog.ErrUntracked && !errors.Is(err, attr.ErrMalformed) {
				t.Errorf("conntrack: %v", err)
			}
			return // there is no writing of connections
		}
		m, _, err = nfnl.Next(nflogtest.AppendPacket(nil, &p))
		if err != nil {
			t.Fatal(err)
		}
		if err := again.Decode(m); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(same(p), same(again)) {
			t.Errorf("decoded %+v\nand again %+v", p, again)
		}
	})
}

// FuzzDatagram puts anything on the socket. It is dealt with, and the packet
// behind it is received.
func FuzzDatagram(f *testing.F) {
	p := fullPacket()
	p.Group = 5
	record := nflogtest.AppendPacket(nil, &p)
	refusal := nfnltest.AppendReply(nil, nfnl.Message{Type: 0x0401, Seq: 1}, syscall.EINVAL)
	for _, datagram := range [][]byte{record, append(record, record...), record[:len(record)-9], refusal, []byte("nonsense")} {
		f.Add(datagram)
	}
	for _, file := range captured.Native(f) {
		for _, datagram := range file.Datagrams {
			f.Add(datagram)
		}
	}
	f.Fuzz(func(t *testing.T, datagram []byte) {
		r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}, Batch: 2, CopyRange: 256})
		if len(datagram) > 0 {
			k.Deliver(datagram)
		}
		k.Log(nflog.Packet{Payload: []byte("behind it")})
		for b := r.NewBatch(); ; {
			if err := r.Receive(b); err != nil {
				t.Fatal(err)
			}
			for i := range b.Packets {
				p := &b.Packets[i]
				if cap(p.Payload) != len(p.Payload) {
					t.Errorf("%d bytes behind the payload", cap(p.Payload)-len(p.Payload))
				}
				if string(p.Payload) == "behind it" {
					return
				}
			}
		}
	})
}

// wantInside fails the test unless all of b, its capacity too, is in all.
func wantInside(t *testing.T, b, all []byte) {
	t.Helper()
	if cap(b) == 0 {
		return
	}
	start := uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	first := uintptr(unsafe.Pointer(unsafe.SliceData(all)))
	if start < first || start+uintptr(cap(b)) > first+uintptr(len(all)) || cap(b) != len(b) {
		t.Errorf("a slice of %d bytes, capacity %d, goes beyond the input", len(b), cap(b))
	}
}

// same returns p without what the kernel does not write, and without the
// difference between no bytes and none.
func same(p nflog.Packet) nflog.Packet {
	if !p.HasOwner {
		p.GID = 0 // never without a UID
	}
	p.Time = time.Unix(p.Time.Unix(), int64(p.Time.Nanosecond()/1000*1000)).UTC() // whole microseconds
	for _, b := range []*[]byte{&p.Prefix, (*[]byte)(&p.HardwareAddr), &p.HardwareHeader, &p.LinkHeader, &p.Payload} {
		if len(*b) == 0 {
			*b = nil
		}
	}
	return p
}
