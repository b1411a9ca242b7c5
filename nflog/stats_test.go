package nflog_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nflog"
)

// Bytes are those that were delivered, of all groups.
func TestStatsCountBytes(t *testing.T) {
	r, k := open(t, nflog.Config{Groups: []uint16{5, 6}, CopyRange: 4})
	k.Log(nflog.Packet{Group: 5, Payload: []byte("abc")}, nflog.Packet{Group: 5, Payload: []byte("abcdef")})
	k.Log(nflog.Packet{Group: 6, Payload: []byte("a")}, nflog.Packet{Group: 6})
	b := r.NewBatch()
	for got := 0; got < 4; got += len(b.Packets) {
		if err := r.Receive(b); err != nil {
			t.Fatal(err)
		}
	}
	if s := r.Stats(); s.Packets != 4 || s.Bytes != 3+4+1 {
		t.Errorf("stats %+v", s)
	}
}

func TestStatsAreSlogValues(t *testing.T) {
	for want, stats := range map[string]slog.LogValuer{
		" s.packets=1 s.bytes=2 s.lost=3 s.malformed=4 s.discarded=5 s.socket_drops=7\n": nflog.Stats{
			Packets: 1, Bytes: 2, Lost: 3, Malformed: 4, Discarded: 5, SocketDrops: 7},
		" s.packets=1 s.lost=2\n": nflog.GroupStats{Packets: 1, Lost: 2},
	} {
		var text strings.Builder
		slog.New(slog.NewTextHandler(&text, nil)).Info("x", "s", stats)
		if !strings.HasSuffix(text.String(), want) {
			t.Errorf("got %s, want %s", text.String(), want)
		}
	}
}
