package nflog_test

import (
	"bytes"
	"errors"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/attr"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

// connection is what connection tracking knows of one: who sends UDP to whom,
// its ID and its helper.
var connection = slices.Concat(
	tlv(0x8001, slices.Concat( // CTA_TUPLE_ORIG
		tlv(0x8001, slices.Concat(tlv(1, 192, 0, 2, 1), tlv(2, 192, 0, 2, 2))...),
		tlv(0x8002, slices.Concat(tlv(1, 17), tlv(2, 0x12, 0x34), tlv(3, 0, 9))...),
	)...),
	tlv(12, 0, 0, 0, 77),                     // CTA_ID
	tlv(0x8005, tlv(1, 'f', 't', 'p', 0)...), // CTA_HELP
)

// tracked returns a packet of a connection.
func tracked(info attr.ConntrackInfo, conntrack []byte) nfnl.Message {
	return message(packetHeader(), tlv(0x8012, conntrack...), tlv(19, 0, 0, 0, byte(info)))
}

// wantConnection fails the test unless p has the one above.
func wantConnection(t *testing.T, p *nflog.Packet) {
	t.Helper()
	c, err := p.Conntrack()
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != 77 || c.Original.Protocol != 17 || c.Original.Src != netip.MustParseAddrPort("192.0.2.1:4660") ||
		c.Original.Dst != netip.MustParseAddrPort("192.0.2.2:9") || string(c.Helper) != "ftp" {
		t.Errorf("got %+v", c)
	}
}

func TestConnectionOfAPacket(t *testing.T) {
	var p nflog.Packet
	if err := p.Decode(tracked(attr.InfoEstablished, connection)); err != nil {
		t.Fatal(err)
	}
	if p.ConntrackInfo != attr.InfoEstablished {
		t.Errorf("the packet is %v", p.ConntrackInfo)
	}
	wantConnection(t, &p)
	if got := p.ConntrackBytes(); !bytes.Equal(got, connection) {
		t.Errorf("attributes %x, want %x", got, connection)
	}
}

func TestPacketWithoutAConnection(t *testing.T) {
	var p nflog.Packet
	if err := p.Decode(tracked(attr.InfoNew, connection)); err != nil {
		t.Fatal(err)
	}
	if err := p.Decode(message(packetHeader())); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Conntrack(); err != nflog.ErrUntracked || p.ConntrackInfo != attr.InfoUntracked {
		t.Errorf("the packet is %v, its connection %v", p.ConntrackInfo, err)
	}
}

func TestMalformedConnectionIsNoMalformedPacket(t *testing.T) {
	var p nflog.Packet
	if err := p.Decode(tracked(attr.InfoNew, tlv(12, 0, 0))); err != nil {
		t.Fatal(err)
	}
	if c, err := p.Conntrack(); !errors.Is(err, attr.ErrMalformed) || c.ID != 0 {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestCloneKeepsTheConnection(t *testing.T) {
	var p nflog.Packet
	m := tracked(attr.InfoNew, connection)
	if err := p.Decode(m); err != nil {
		t.Fatal(err)
	}
	c := p.Clone()
	clear(m.Attrs)
	wantConnection(t, c)
}

// TestEverySequenceWithConntrack has all three flags at once.
func TestEverySequenceWithConntrack(t *testing.T) {
	r, k := open(t, nflog.Config{GlobalSequence: true, Conntrack: true})
	k.LogTracked(attr.InfoEstablishedReply, connection, packets("ab")...)
	k.Log(packets("c")...)
	b := r.NewBatch()
	receive(t, r, b)
	for i := range b.Packets {
		p := &b.Packets[i]
		if p.Seq != uint32(i) || p.GlobalSeq != uint32(i+1) {
			t.Errorf("packet %d has numbers %d and %d", i, p.Seq, p.GlobalSeq)
		}
		if i == 2 {
			if _, err := p.Conntrack(); err != nflog.ErrUntracked || p.ConntrackInfo != attr.InfoUntracked {
				t.Errorf("the packet of no connection is %v, %v", p.ConntrackInfo, err)
			}
			continue
		}
		if p.ConntrackInfo != attr.InfoEstablishedReply {
			t.Errorf("packet %d is %v", i, p.ConntrackInfo)
		}
		wantConnection(t, p)
	}
	wantStats(t, r, 3, 0, 0)
}

func TestConnectionsComeOnlyWhenAskedFor(t *testing.T) {
	r, k := open(t, nflog.Config{})
	k.LogTracked(attr.InfoNew, connection, packets("a")...)
	b := r.NewBatch()
	receive(t, r, b)
	if _, err := b.Packets[0].Conntrack(); err != nflog.ErrUntracked {
		t.Errorf("error %v", err)
	}
}

// withoutConntrack makes k a kernel that was built without.
func withoutConntrack(k *nflogtest.Kernel) {
	k.Refuse(func(m nfnl.Message) error {
		for d := attr.NewDecoder(m.Attrs); d.Next(); {
			if m.Type == typeConfig && d.Type() == 6 && d.Uint16()&4 != 0 { // NFULA_CFG_FLAGS
				return syscall.EOPNOTSUPP
			}
		}
		return nil
	})
}

func TestBestEffortDoesWithoutConntrack(t *testing.T) {
	cfg := nflog.Config{Groups: []uint16{5, 6}, Conntrack: true, GlobalSequence: true}
	conn, k := nflogtest.New(t)
	withoutConntrack(k)
	_, err := nflog.OpenConn(conn, cfg)
	if !errors.Is(err, errors.ErrUnsupported) || k.Bound(5) || k.Bound(6) {
		t.Errorf("error %v; bound: 5 %v, 6 %v", err, k.Bound(5), k.Bound(6))
	}

	cfg.BestEffort = true
	r, err := nflog.OpenConn(conn, cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if g, c := r.Granted(), r.Config(); g.Conntrack || !c.Conntrack || !c.GlobalSequence || !k.Bound(5) || !k.Bound(6) {
		t.Errorf("granted %+v; bound: 5 %v, 6 %v", g, k.Bound(5), k.Bound(6))
	}
}

func TestGrantedTellsTheDefaults(t *testing.T) {
	r, _ := open(t, nflog.Config{Groups: []uint16{5, 6}, Conntrack: true, BestEffort: true})
	g := r.Granted()
	if !g.Conntrack || g.Threshold != 100 || g.CopyRange != 65531 || g.Batch != 4 || g.FlushTimeout != 10*time.Millisecond {
		t.Errorf("granted %+v", g)
	}
	if err := r.Configure(r.Config()); err != nil || r.Granted().BufferSize != g.BufferSize {
		t.Errorf("%v; granted a buffer of %d, then of %d", err, g.BufferSize, r.Granted().BufferSize)
	}
	for collect, want := range map[time.Duration]time.Duration{1: 10 * time.Millisecond, 20 * time.Millisecond: 20 * time.Millisecond, 20*time.Millisecond + 1: 30 * time.Millisecond} {
		if err := r.Configure(nflog.Config{Groups: []uint16{5, 6}, FlushTimeout: collect}); err != nil || r.Granted().FlushTimeout != want {
			t.Errorf("%v; asked for %v, granted %v, want %v", err, collect, r.Granted().FlushTimeout, want)
		}
	}
	r.Config().Groups[0] = 7
	if again := r.Config(); again.Groups[0] != 5 {
		t.Error("Config gave the Reader's own slice away")
	}
}
