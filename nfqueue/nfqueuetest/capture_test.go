package nfqueuetest_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/captured"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// udp is a UDP packet of 32 bytes.
var udp = []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 53, 0, 12, 0, 0, 'a', 'b', 'c', 'd'}

// The packets of a file go through a handler, as if they were queued now.
func TestCaptureIsReplayed(t *testing.T) {
	sll2 := []byte{8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}
	for _, name := range []string{captured.WritePcap(t, 101, udp), captured.WritePcap(t, 276, append(sll2, udp...))} {
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
		go q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
			if f, _ := nfnl.ParseFlow(p.Payload); f.Dst.Port() == 53 && p.Len == len(udp) && p.Family == nfnl.IPv4 && p.Hook == nfnl.Input {
				return nfqueue.Drop().WithMark(uint32(p.InDev))
			}
			return nfqueue.Accept()
		})
		packets := nfqueuetest.ReadCapture(t, name)
		if got, want := k.Verdict(k.Enqueue(packets[0])), nfqueue.Drop().WithMark(uint32(packets[0].InDev)); !got.Equal(want) {
			t.Errorf("%+v got %v, want %v", packets[0], got, want)
		}
	}
	if p := nfqueuetest.ReadCapture(t, captured.WritePcap(t, 276, append(sll2, udp...)))[0]; p.InDev != 3 || len(p.HardwareAddr) != 6 {
		t.Errorf("got %+v", p)
	}
}

// Of netlink messages, here of a real kernel, those that bring packets are read, as
// the kernel wrote them.
func TestCaptureOfMessagesIsReplayed(t *testing.T) {
	for _, f := range captured.Files(t, "..") {
		if !f.IsNative() {
			continue
		}
		want := f.Messages(t, nfnl.Type(engine.SubsystemQueue<<8))
		packets := nfqueuetest.ReadCapture(t, f.Name)
		if len(packets) != len(want) {
			t.Fatalf("%s: %d packets, want %d", f.Name, len(packets), len(want))
		}
		q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: packets[0].Queue})
		seen := make(chan nfqueue.Packet, 1)
		go q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
			seen <- *p.Clone()
			return nfqueue.Accept()
		})
		for _, p := range packets {
			k.Enqueue(p)
			got := <-seen
			if got.InDev != p.InDev || got.Hook != p.Hook || got.Len != p.Len || string(got.Payload) != string(p.Payload) || got.Mark != p.Mark {
				t.Errorf("%s: %v became %v", f.Name, p, got)
			}
		}
	}
}
