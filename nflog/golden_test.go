package nflog_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// golden is a datagram as a 6.18 kernel on x86 sent it, of two packets of 31
// bytes that an output chain logged with prefix "ab" to group 3, with the flags
// SEQ and SEQ_GLOBAL set.
const golden = `
	78000000 0004 0000 00000000 00000000  02 00 0003
	0800 0100  0800 03 00
	0700 0a00  616200 00
	0800 0500  00000001
	0800 0200  0000beef
	0800 0b00  000003e8
	0800 0e00  00000064
	0800 0c00  00000000
	0800 0d00  00000001
	2300 0900  4500001f000040004011000000000000000000000000000000000000000000 00

	78000000 0004 0000 00000000 00000000  02 00 0003
	0800 0100  0800 03 00
	0700 0a00  616200 00
	0800 0500  00000001
	0800 0200  0000beef
	0800 0b00  000003e8
	0800 0e00  00000064
	0800 0c00  00000001
	0800 0d00  00000002
	2300 0900  4500001f000040004011000000000000000000000000000000000000000001 00

	14000000 0300 0000 00000000 00000000  00 00 0003`

func goldenBytes(t *testing.T) []byte {
	t.Helper()
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		t.Skip("the datagram is of a little-endian machine")
	}
	b, err := hex.DecodeString(strings.Join(strings.Fields(golden), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenDatagram(t *testing.T) {
	datagram := goldenBytes(t)
	r, k := open(t, nflog.Config{Groups: []uint16{3}, GlobalSequence: true})
	k.Deliver(datagram)
	b := r.NewBatch()
	receive(t, r, b)
	wantStats(t, r, 2, 0, 0)
	for i, p := range b.Packets {
		if p.Group != 3 || p.Proto != 0x0800 || p.Family != nfnl.IPv4 || p.Hook != nfnl.Output ||
			string(p.Prefix) != "ab" || p.InDev != 0 || p.OutDev != 1 || p.Mark != 0xbeef ||
			!p.HasOwner || p.UID != 1000 || p.GID != 100 || p.Seq != uint32(i) || p.GlobalSeq != uint32(i+1) ||
			len(p.Payload) != 31 || p.Payload[0] != 0x45 || p.Payload[30] != byte(i) || !p.ReceiptTime {
			t.Errorf("packet %d: %+v", i, p)
		}
	}
}

func TestFakeKernelWritesTheSameBytes(t *testing.T) {
	want := goldenBytes(t)
	r, k := open(t, nflog.Config{Groups: []uint16{3}, GlobalSequence: true})
	k.Deliver(want)
	b := r.NewBatch()
	receive(t, r, b)
	var got []byte
	for i := range b.Packets {
		got = nflogtest.AppendPacket(got, &b.Packets[i])
	}
	if want = want[:len(want)-20]; !bytes.Equal(got, want) {
		t.Errorf("got  % x\nwant % x", got, want)
	}
}
