//go:build linux

package log

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// logGroups returns what the kernel has of each group: its number, copy mode and
// range, and timeout in 1/100 s.
func logGroups(t *testing.T, n *lab.Net) string {
	t.Helper()
	b, err := endtoend.ProcNet(n, "netfilter/nfnetlink_log")
	if errors.Is(err, os.ErrPermission) {
		t.Skip("the kernel shows its log groups to root only")
	}
	testkit.Must(t, err)
	// group, port ID, packets, copy mode, copy range, timeout in 1/100 s, users
	var got []string
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		got = append(got, strings.Join([]string{f[0], f[3], f[4], f[5]}, " "))
	}
	return strings.Join(got, ", ")
}

func TestConfigureReachesTheKernel(t *testing.T) {
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5, 6}})
	for _, c := range []struct {
		cfg  nflog.Config
		want string
	}{
		{nflog.Config{CopyRange: 99, FlushTimeout: 2 * time.Second}, "5 2 99 200, 6 2 99 200"},
		{nflog.Config{MetadataOnly: true}, "5 1 0 1, 6 1 0 1"},
		{nflog.Config{BufferSize: 131072}, "5 2 65531 1, 6 2 65531 1"},
	} {
		c.cfg.Groups = []uint16{6, 5}
		testkit.Must(t, r.Configure(c.cfg))
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
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1})
	for i, want := range []uint32{0, 1, 2, 0, 3} { // counted only while the flag is set
		testkit.Must(t, l.Reader.Configure(nflog.Config{Groups: []uint16{5}, Threshold: 1, GlobalSequence: want > 0}))
		endtoend.SendNumbers(t, l.From, i, 1)
		if p := endtoend.NextLogged(t, l.Reader, 1)[0]; p.Seq != uint32(i) || p.GlobalSeq != want {
			t.Errorf("numbers %d and %d, want %d and %d", p.Seq, p.GlobalSeq, i, want)
		}
	}
}

func TestConfigureChangesTheThreshold(t *testing.T) {
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1000, FlushTimeout: time.Hour}
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, cfg)
	endtoend.SendNumbers(t, l.From, 0, 3)
	cfg.Threshold = 4
	testkit.Must(t, l.Reader.Configure(cfg))
	b := l.Reader.NewBatch()
	testkit.Must(t, l.Reader.TryReceive(b))
	if len(b.Packets) != 0 {
		t.Errorf("%d packets too early", len(b.Packets))
	}
	endtoend.SendNumbers(t, l.From, 3, 1)
	if n := receiveLog(t, l.Reader, b); n != 4 {
		t.Errorf("%d packets in a datagram", n)
	}
}

// TestConfigureALogUnderFlood changes everything from the body of a loop and
// beside it, while packets stream in.
func TestConfigureALogUnderFlood(t *testing.T) {
	var reported testkit.Errors
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{OnError: reported.Add})
	stop := endtoend.Flood(t, l.From)
	configs := []nflog.Config{
		{BufferSize: 131072, Threshold: 5000}, {CopyRange: endtoend.IPv4Header, Threshold: 1}, {BufferSize: 65536, GlobalSequence: true}, {},
	}
	configure := func(i int) error {
		cfg := configs[i%len(configs)]
		cfg.Groups, cfg.OnError = []uint16{5}, reported.Add
		return l.Reader.Configure(cfg)
	}
	beside := testkit.Background(func() error {
		for i := range 100 {
			if err := configure(i); err != nil {
				return err
			}
			time.Sleep(time.Millisecond)
		}
		return nil
	})
	ctx, cancel := context.WithTimeout(context.Background(), testkit.Patience)
	defer cancel()
	var last, packets uint64
	for p, err := range l.Reader.Packets(ctx) {
		testkit.Must(t, err)
		last = uint64(p.Seq)
		if packets++; packets%100 == 0 {
			testkit.Must(t, configure(int(packets/100)))
		}
		if packets > 2000 && len(beside) > 0 {
			break
		}
	}
	stop()
	testkit.Must(t, testkit.Next(t, beside))
	// A batch may have been left behind in the middle, and more be on the socket.
	b := l.Reader.NewBatch()
	for testkit.Must(t, l.Reader.TryReceive(b)); len(b.Packets) > 0; testkit.Must(t, l.Reader.TryReceive(b)) {
		last = uint64(b.Packets[len(b.Packets)-1].Seq)
	}
	if s := l.Reader.Stats(); s.Packets+s.Lost != last+1 || s.Malformed != 0 {
		t.Errorf("stats %+v, but the last packet has number %d", s, last)
	}
}

// TestConfigureALogThatNobodyReads finds no room on the socket for the kernel's
// answer, and keeps what it makes room from.
func TestConfigureALogThatNobodyReads(t *testing.T) {
	const sent = 200
	cfg := nflog.Config{Groups: []uint16{5}, Threshold: 1, Socket: nfnl.Config{ReadBuffer: 8 << 10}}
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, cfg)
	endtoend.SendNumbers(t, l.From, 0, sent)
	if l.Reader.Stats().SocketDrops == 0 {
		t.Fatal("the socket has room left")
	}
	cfg.CopyRange = endtoend.IPv4Header
	testkit.Must(t, l.Reader.Configure(cfg))
	b := l.Reader.NewBatch()
	for n := 1; n > 0; n = len(b.Packets) {
		testkit.Must(t, l.Reader.TryReceive(b))
	}
	endtoend.SendNumbers(t, l.From, sent, 1)
	if n := receiveLog(t, l.Reader, b); n != 1 || len(b.Packets[0].Payload) != endtoend.IPv4Header {
		t.Errorf("%d packets after Configure", n)
	}
	if s := l.Reader.Stats(); s.Packets == 0 || s.Packets+s.Lost != sent+1 {
		t.Errorf("%d packets and %d lost of %d", s.Packets, s.Lost, sent+1)
	}
}
