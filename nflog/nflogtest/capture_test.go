package nflogtest_test

import (
	"testing"

	"github.com/nfpacket/nfpacket/internal/captured"
	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// udp is a UDP packet of 32 bytes.
var udp = []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 53, 0, 12, 0, 0, 'a', 'b', 'c', 'd'}

// The packets of a file of each link type come as if they were logged now; one of
// NFLOG with its prefix.
func TestCaptureIsReplayed(t *testing.T) {
	sll2 := []byte{8, 0, 0, 0, 0, 0, 0, 3, 0, 1, 4, 6, 2, 0, 0, 0, 0, 1, 0, 0}
	message := nflogtest.AppendPacket(nil, &nflog.Packet{Group: 9, Family: nfnl.IPv4, Hook: nfnl.Forward, Proto: 0x0800, Prefix: []byte("x "), Payload: udp})
	for name, want := range map[string]nflog.Packet{
		captured.WritePcap(t, 101, udp):                  {Hook: nfnl.Input},
		captured.WritePcap(t, 276, append(sll2, udp...)): {Hook: nfnl.Output, OutDev: 3},
		captured.WritePcap(t, 239, message[16:]):         {Hook: nfnl.Forward, Prefix: []byte("x ")},
	} {
		p := nflogtest.ReadCapture(t, name)[0]
		r, k := nflogtest.Open(t, nflog.Config{Groups: []uint16{5}})
		p.Group = 5
		k.Log(p)
		for got, err := range r.Packets(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			if got.Family != nfnl.IPv4 || got.Proto != 0x0800 || string(got.Payload) != string(udp) ||
				got.Hook != want.Hook || got.OutDev != want.OutDev || string(got.Prefix) != string(want.Prefix) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			break
		}
	}
}

// Of netlink messages, here of real kernels, those that bring packets are read.
func TestCaptureOfMessagesIsRead(t *testing.T) {
	for _, f := range captured.Files(t, "..") {
		if !f.IsNative() {
			continue
		}
		want := f.Messages(t, nfnl.Type(engine.SubsystemLog<<8))
		packets := nflogtest.ReadCapture(t, f.Name)
		if len(packets) != len(want) {
			t.Fatalf("%s: %d packets, want %d", f.Name, len(packets), len(want))
		}
		for i, m := range want {
			var p nflog.Packet
			if err := p.Decode(m); err != nil || packets[i].String() != p.String() {
				t.Errorf("%s: %v, want %v, %v", f.Name, packets[i], p, err)
			}
		}
	}
}
