package nflog_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/engine"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestWrongFieldsAreRefusedByName(t *testing.T) {
	page := uint32(min(os.Getpagesize(), 8192))
	groups := []uint16{5}
	for _, c := range []struct {
		field string
		cfg   nflog.Config
	}{
		{"Groups", nflog.Config{}},
		{"Groups", nflog.Config{Groups: []uint16{5, 6, 5}}},
		{"CopyRange", nflog.Config{Groups: groups, CopyRange: 1, MetadataOnly: true}},
		{"FlushTimeout", nflog.Config{Groups: groups, FlushTimeout: -1}},
		{"FlushTimeout", nflog.Config{Groups: groups, FlushTimeout: 1<<32*10*time.Millisecond - 1}},
		{"BufferSize", nflog.Config{Groups: groups, BufferSize: page - 1}},
		{"BufferSize", nflog.Config{Groups: groups, BufferSize: 131073}},
		{"Flags", nflog.Config{Groups: groups, Flags: 1}},
		{"GlobalSequence", nflog.Config{Groups: groups, Flags: 0x8002}},
		{"Conntrack", nflog.Config{Groups: groups, Flags: 4}},
		{"Batch", nflog.Config{Groups: groups, Batch: -1}},
		{"Batch", nflog.Config{Groups: groups, Batch: 257}},
		{"Socket.ReadBuffer", nflog.Config{Groups: groups, Socket: nfnl.Config{ReadBuffer: -1}}},
		{"Socket.ReadBuffer", nflog.Config{Groups: groups, Socket: nfnl.Config{ReadBuffer: 1 << 30}}},
		{"Socket.NetNS", nflog.Config{Groups: groups, Socket: nfnl.Config{NetNS: -1}}},
	} {
		_, err := nflog.Open(c.cfg)
		if err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%+v: error %v, want one about %s", c.cfg, err, c.field)
		}
		conn, _, cerr := engine.Pipe(func([]byte) error {
			t.Errorf("%+v: the kernel was asked", c.cfg)
			return nil
		})
		if cerr != nil {
			t.Fatal(cerr)
		}
		if _, err := nflog.OpenConn((*nfnl.Conn)(conn), c.cfg); err == nil {
			t.Errorf("%+v: OpenConn has no error", c.cfg)
		}
		conn.Close()
	}
}

func TestBindRefusesWrongFields(t *testing.T) {
	if m, err := (nflog.Config{CopyRange: 1, MetadataOnly: true}).Bind(5); err == nil || m.Attrs != nil {
		t.Errorf("got %v, %v", m, err)
	}
}

// TestConfigurationMessages has the bytes that the kernel reads.
func TestConfigurationMessages(t *testing.T) {
	command := func(b byte) []byte { return tlv(1, b) }
	mode := func(b ...byte) []byte { return tlv(2, b...) }
	for _, c := range []struct {
		name string
		cfg  nflog.Config
		want [][]byte
	}{
		{"zero Config", nflog.Config{}, [][]byte{
			command(1), mode(0, 0, 0xff, 0xfb, 2, 0), tlv(4, 0, 0, 0, 1), tlv(5, 0, 0, 0, 100), tlv(6, 0, 1),
		}},
		{"everything", nflog.Config{
			Groups: []uint16{1}, CopyRange: 128, Threshold: 1000, FlushTimeout: 2500 * time.Millisecond,
			BufferSize: 65536, GlobalSequence: true, Conntrack: true, Flags: 0x8000,
		}, [][]byte{
			command(1), mode(0, 0, 0, 128, 2, 0), tlv(4, 0, 0, 0, 250), tlv(3, 0, 1, 0, 0), tlv(5, 0, 0, 3, 0xe8), tlv(6, 0x80, 7),
		}},
		{"metadata, threshold 32, a time between two steps", nflog.Config{
			MetadataOnly: true, Threshold: 32, FlushTimeout: 10*time.Millisecond + 1,
		}, [][]byte{
			command(1), mode(0, 0, 0, 0, 1, 0), tlv(4, 0, 0, 0, 2), tlv(5, 0, 0, 0, 32), tlv(6, 0, 1),
		}},
		{"threshold that raises the buffer", nflog.Config{Threshold: 33}, [][]byte{
			command(1), mode(0, 0, 0xff, 0xfb, 2, 0), tlv(4, 0, 0, 0, 1), tlv(3, 0, 0, 0x80, 0), tlv(5, 0, 0, 0, 33), tlv(6, 0, 1),
		}},
		{"the longest time", nflog.Config{FlushTimeout: (1<<32 - 1) * 10 * time.Millisecond}, [][]byte{
			command(1), mode(0, 0, 0xff, 0xfb, 2, 0), tlv(4, 0xff, 0xff, 0xff, 0xff), tlv(5, 0, 0, 0, 100), tlv(6, 0, 1),
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := c.cfg.Bind(0x1234)
			if err != nil {
				t.Fatal(err)
			}
			wantMessage(t, m, slices.Concat(c.want...))
		})
	}
	wantMessage(t, nflog.Config{}.Unbind(0x1234), command(2))
}

// wantMessage fails the test unless m configures group 0x1234 with attrs.
func wantMessage(t *testing.T, m nfnl.Message, attrs []byte) {
	t.Helper()
	want := binary.NativeEndian.AppendUint32(nil, uint32(20+len(attrs)))
	want = binary.NativeEndian.AppendUint16(want, 0x0401)
	want = append(want, make([]byte, 2+4+4)...)
	want = append(want, 0, 0, 0x12, 0x34)
	if got := m.Append(nil); !bytes.Equal(got, append(want, attrs...)) {
		t.Errorf("got  % x\nwant % x", got, append(want, attrs...))
	}
}

func TestLargeDatagramsFitTheBuffers(t *testing.T) {
	for _, c := range []struct {
		cfg  nflog.Config
		size int // of the kernel's longest datagram
	}{
		{nflog.Config{}, 130752}, // behind a packet of 64 KiB is room for more
		{nflog.Config{CopyRange: 1024}, 7664},
		{nflog.Config{BufferSize: 32768}, 64448},
		{nflog.Config{Threshold: 100}, 130752},
		{nflog.Config{BufferSize: 65536}, 130752},
		{nflog.Config{BufferSize: 131072}, 261008},
	} {
		r, k := open(t, c.cfg)
		var datagram []byte
		for seq := uint32(0); ; seq++ {
			p := nflog.Packet{Group: 5, Seq: seq, Payload: make([]byte, 1400)}
			longer := nflogtest.AppendPacket(datagram, &p)
			if len(longer) > c.size {
				break
			}
			datagram = longer
		}
		datagram = append(datagram, nfnl.Message{Type: 0x0400, Resource: 5,
			Attrs: append(packetHeader(), tlv(9, make([]byte, c.size-len(datagram)-32)...)...)}.Append(nil)...)
		if len(datagram) != c.size {
			t.Fatalf("%d bytes, want %d", len(datagram), c.size)
		}
		k.Deliver(datagram)
		receive(t, r, r.NewBatch())
		if s := r.Stats(); s.Malformed != 0 || s.Lost != 0 {
			t.Errorf("%+v: %+v", c.cfg, s)
		}
	}
}
