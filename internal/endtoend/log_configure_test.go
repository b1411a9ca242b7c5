//go:build linux

package endtoend

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// logGroups returns what the kernel has of each group: its number, copy mode and
// range, and timeout in 1/100 s.
func logGroups(t *testing.T, n *lab.Net) string {
	t.Helper()
	b, err := procNet(n, "netfilter/nfnetlink_log")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the kernel shows its log groups to root only")
	}
	must(t, err)
	// group, port ID, packets, copy mode, copy range, timeout in 1/100 s, users
	var got []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		got = append(got, strings.Join([]string{f[0], f[3], f[4], f[5]}, " "))
	}
	return strings.Join(got, ", ")
}

func TestConfigureReachesTheKernel(t *testing.T) {
	n := newNet(t)
	r := openLog(t, n, nflog.Config{Groups: []uint16{5, 6}})
	for _, c := range []struct {
		cfg  nflog.Config
		want string
	}{
		{nflog.Config{CopyRange: 99, FlushTimeout: 2 * time.Second}, "5 2 99 200, 6 2 99 200"},
		{nflog.Config{MetadataOnly: true}, "5 1 0 1, 6 1 0 1"},
		{nflog.Config{BufferSize: 131072}, "5 2 65531 1, 6 2 65531 1"},
	} {
		c.cfg.Groups = []uint16{6, 5}
		must(t, r.Configure(c.cfg))
		if got := logGroups(t, n); got != c.want {
			t.Errorf("groups %q, want %q", got, c.want)
		}
	}
	before := logGroups(t, n)
	for _, wrong := range []nflog.Config{{BufferSize: 131073}, {Threshold: 1, MetadataOnly: true, CopyRange: 1}, {Groups: []uint16{5}}} {
		if wrong.Groups == nil {
			wrong.Groups = []uint16{5, 6}
		}
		if err := r.Configure(wrong); err == nil {
			t.Errorf("%+v: no error", wrong)
		}
	}
	if got := logGroups(t, n); got != before {
		t.Errorf("groups %q, want %q", got, before)
	}
}

func TestConfigureSetsAndClearsFlags(t *testing.T) {
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{Threshold: 1})
	for i, want := range []uint32{0, 1, 2, 0, 3} { // counted only while the flag is set
		must(t, l.reader.Configure(nflog.Config{Groups: []uint16{5}, Threshold: 1, GlobalSequence: want > 0}))
		l.send(t, i, 1)
		if p := logged(t, l.reader, 1)[0]; p.Seq != uint32(i) || p.GlobalSeq != want {
			t.Errorf("numbers %d and %d, want %d and %d", p.Seq, p.GlobalSeq, i, want)
		}
	}
}

func TestConfigureChangesTheThreshold(t *testing.T) {
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1000, FlushTimeout: time.Hour}
	l := newLogLane(t, ipv4, lab.Output, cfg)
	l.send(t, 0, 3)
	cfg.Threshold = 4
	must(t, l.reader.Configure(cfg))
	b := l.reader.NewBatch()
	must(t, l.reader.TryReceive(b))
	if len(b.Packets) != 0 {
		t.Errorf("%d packets too early", len(b.Packets))
	}
	l.send(t, 3, 1)
	if n := receiveLog(t, l.reader, b); n != 4 {
		t.Errorf("%d packets in a datagram", n)
	}
}

// TestConfigureALogUnderFlood changes everything from the body of a loop and
// beside it, while packets stream in.
func TestConfigureALogUnderFlood(t *testing.T) {
	var told collector
	l := newLogLane(t, ipv4, lab.Output, nflog.Config{OnError: told.add})
	stop := flood(t, &lane{from: l.from})
	configs := []nflog.Config{
		{BufferSize: 131072, Threshold: 5000}, {CopyRange: ipv4Header, Threshold: 1}, {BufferSize: 65536, GlobalSequence: true}, {},
	}
	configure := func(i int) error {
		cfg := configs[i%len(configs)]
		cfg.Groups, cfg.OnError = []uint16{5}, told.add
		return l.reader.Configure(cfg)
	}
	beside := background(func() error {
		for i := range 100 {
			if err := configure(i); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	var last, packets uint64
	for p, err := range l.reader.Packets(ctx) {
		must(t, err)
		last = uint64(p.Seq)
		if packets++; packets%100 == 0 {
			must(t, configure(int(packets/100)))
		}
		if packets > 2000 && len(beside) > 0 {
			break
		}
	}
	stop()
	must(t, next(t, beside))
	// A batch may have been left behind in the middle, and more be on the socket.
	b := l.reader.NewBatch()
	for must(t, l.reader.TryReceive(b)); len(b.Packets) > 0; must(t, l.reader.TryReceive(b)) {
		last = uint64(b.Packets[len(b.Packets)-1].Seq)
	}
	if s := l.reader.Stats(); s.Packets+s.Lost != last+1 || s.Malformed != 0 {
		t.Errorf("stats %+v, but the last packet has number %d", s, last)
	}
}

// TestConfigureALogThatNobodyReads finds no room on the socket for the kernel's
// answer, and keeps what it makes room from.
func TestConfigureALogThatNobodyReads(t *testing.T) {
	const sent = 200
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1, Socket: nfnl.Config{ReadBuffer: 8 << 10}}
	l := newLogLane(t, ipv4, lab.Output, cfg)
	l.send(t, 0, sent)
	if l.reader.Stats().SocketDrops == 0 {
		t.Fatal("the socket has room left")
	}
	cfg.CopyRange = ipv4Header
	must(t, l.reader.Configure(cfg))
	b := l.reader.NewBatch()
	for n := 1; n > 0; n = len(b.Packets) {
		must(t, l.reader.TryReceive(b))
	}
	l.send(t, sent, 1)
	if n := receiveLog(t, l.reader, b); n != 1 || len(b.Packets[0].Payload) != ipv4Header {
		t.Errorf("%d packets after Configure", n)
	}
	if s := l.reader.Stats(); s.Packets == 0 || s.Packets+s.Lost != sent+1 {
		t.Errorf("%d packets and %d lost of %d", s.Packets, s.Lost, sent+1)
	}
}
