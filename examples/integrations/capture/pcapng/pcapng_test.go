package pcapng

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// A file holds what is written to it.
type file struct {
	bytes.Buffer
	closed bool
}

func (f *file) Close() error { f.closed = true; return nil }

// A packet is what a reader finds of a record.
type packet struct {
	device   string
	data     []byte
	length   int
	comments []string
	lost     uint64
}

// read returns the packets of a file.
func read(t *testing.T, r io.Reader) (packets []packet) {
	t.Helper()
	options := pcapgo.DefaultNgReaderOptions
	options.WantMixedLinkType = true
	ng, err := pcapgo.NewNgReader(r, options)
	if err != nil {
		t.Fatal(err)
	}
	for {
		data, info, more, err := ng.ReadPacketDataWithOptions()
		if err == io.EOF {
			return packets
		}
		if err != nil {
			t.Fatal(err)
		}
		device, err := ng.Interface(info.InterfaceIndex)
		if err != nil || device.LinkType != layers.LinkType(SLL2) {
			t.Fatalf("link type %v, %v", device.LinkType, err)
		}
		p := packet{device: device.Name, data: data, length: info.Length, comments: more.Comments}
		if more.DropCount != nil {
			p.lost = *more.DropCount
		}
		packets = append(packets, p)
	}
}

// names names interface 2.
type names struct{}

func (names) Name(index int) string { return map[int]string{2: "eth0"}[index] }

// UDP of 32 bytes from 192.0.2.1, without its checksums.
var udp = []byte{0x45, 0, 0, 32, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2, 0, 9, 0, 53, 0, 12, 0, 0, 'a', 'b', 'c', 'd'}

// A handler records what came, though it rewrites the packet in place, and what
// it decided.
func TestRecordHasThePacketAsItCame(t *testing.T) {
	var f file
	w, err := NewWriter(&f, SLL2)
	if err != nil {
		t.Fatal(err)
	}
	q, k := nfqueuetest.Open(t, nfqueue.Config{Queue: 7})
	go q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
		r := Queued(p, names{})
		p.Payload[28] = 'X'
		v := nfqueue.Drop().WithMark(7)
		if p.ID == 2 {
			v = nfqueue.Accept().WithPayload(p.Payload[:30])
		}
		r.Decided(v)
		w.Write(r)
		return v
	})
	k.Verdict(k.Enqueue(nfqueue.Packet{Payload: udp, Hook: nfnl.Input, InDev: 2}))
	k.Verdict(k.Enqueue(nfqueue.Packet{Payload: udp, Hook: nfnl.Output, OutDev: 3}))

	got := read(t, &f)
	if len(got) != 2 {
		t.Fatalf("%d packets were recorded, want 2", len(got))
	}
	head := []byte{8, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	if want := append(head, udp...); !bytes.Equal(got[0].data, want) {
		t.Errorf("the data are\n%x, want\n%x", got[0].data, want)
	}
	for i, want := range []string{"eth0 [hook=input verdict=drop mark=0x7]", "if3 [hook=output verdict=accept rewritten=30]"} {
		if s := fmt.Sprint(got[i].device, " ", got[i].comments); s != want {
			t.Errorf("packet %d is %s, want %s", i, s, want)
		}
	}
}

// What the kernel did not deliver of a packet counts for its length, and frames
// that come with their link header are without it.
func TestRecordOfLoggedPacket(t *testing.T) {
	frame := append(make([]byte, 14), udp...)
	for _, p := range []nflog.Packet{
		{Hook: nfnl.Input, InDev: 2, Proto: 0x800, Payload: udp[:28]},
		{Hook: nfnl.Egress, OutDev: 2, Proto: 0x800, Payload: frame, LinkHeader: frame[:14]},
	} {
		r := Logged(&p, names{})
		if r.Length != 20+32 || r.Interface != "eth0" {
			t.Errorf("at %v %d bytes of %q are recorded, want 52 of eth0", p.Hook, r.Length, r.Interface)
		}
		if !bytes.HasPrefix(r.Data[20:], udp[:28]) {
			t.Errorf("at %v the data are %x", p.Hook, r.Data)
		}
	}
}

// What was lost, and comments that pcapng has no room for, leave the file whole.
func TestLongCommentsAreCut(t *testing.T) {
	var f file
	w, err := NewWriter(&f, SLL2)
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 70_000)
	for _, r := range []Record{{Data: udp, Comments: []string{long, "short"}, Lost: 3}, {Data: udp, Comments: []string{"next"}}} {
		if err := w.Write(r); err != nil {
			t.Fatal(err)
		}
	}
	got := read(t, &f)
	if len(got) != 2 || got[0].lost != 3 || got[1].lost != 0 {
		t.Fatalf("read %d packets, %+v", len(got), got)
	}
	if c := got[0].comments; len(c) != 2 || len(c[0]) != 65535 || c[1] != "short" || !slices.Equal(got[1].comments, []string{"next"}) {
		t.Errorf("the comments are wrong")
	}
}

// Each of the files that follow each other is whole, and those beyond what is to be
// kept are gone.
func TestFilesFollowEachOther(t *testing.T) {
	dir := t.TempDir()
	w, err := NewRotating(Files(filepath.Join(dir, "dump.pcapng"), 3), 1000, SLL2)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 60 {
		if err := w.Write(Record{Time: time.Now(), Interface: "lo", Data: udp, ID: uint64(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	kept, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil || len(kept) != 3 {
		t.Fatalf("kept %q, %v; want 3 files", kept, err)
	}
	for _, name := range kept {
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if packets := read(t, f); len(packets) == 0 || packets[0].device != "lo" {
			t.Errorf("%s has %d packets", name, len(packets))
		}
		f.Close()
	}
}

// broken fails from the second write on.
type broken struct{ writes int }

var errFull = errors.New("no space left")

func (b *broken) Write(p []byte) (int, error) {
	if b.writes++; b.writes > 1 {
		return len(p) / 2, errFull
	}
	return len(p), nil
}

func (b *broken) Close() error { return nil }

// After a write that failed nothing is added to what may be half a record.
func TestWriterStopsAtAnError(t *testing.T) {
	b := &broken{}
	w, err := NewWriter(b, SLL2)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.Write(Record{Data: udp}); !errors.Is(err, errFull) {
			t.Errorf("got %v, want %v", err, errFull)
		}
	}
	if b.writes != 2 {
		t.Errorf("%d writes, want none after the one that failed", b.writes)
	}
}
