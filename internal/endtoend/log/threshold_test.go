//go:build linux

package log

import (
	"context"
	"errors"
	"fmt"
	"net"
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

func TestThresholdIsTheNumberOfPacketsInADatagram(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 40, FlushTimeout: time.Hour, Batch: 1})
	endtoend.SendNumbers(t, l.From, 0, 119)
	b := l.Reader.NewBatch()
	for range 2 {
		if n := receiveLog(t, l.Reader, b); n != 40 {
			t.Errorf("%d packets in a datagram", n)
		}
	}
	testkit.Must(t, l.Reader.TryReceive(b))
	if n := len(b.Packets); n != 0 {
		t.Errorf("%d packets too early", n)
	}
	endtoend.SendNumbers(t, l.From, 119, 1)
	if n := receiveLog(t, l.Reader, b); n != 40 {
		t.Errorf("%d packets in the last datagram", n)
	}
}

func TestThresholdOfTheRuleIsLower(t *testing.T) {
	n := endtoend.NewNet(t)
	r := endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}, FlushTimeout: time.Hour, Batch: 1})
	endtoend.AddRule(t, n, lab.IPv4, lab.Output, lab.UDP(9999), lab.Log(5, "", 0, 3))
	_, from := endtoend.UDPPair(t, n, "udp", endtoend.IPv4.Address())
	endtoend.Send(t, from, "a", "b", "c", "d")
	if n := receiveLog(t, r, r.NewBatch()); n != 3 {
		t.Errorf("%d packets in a datagram", n)
	}
}

func TestCollectBoundsTheWait(t *testing.T) {
	for _, c := range []struct {
		collect, least, most time.Duration
	}{
		{0, 0, 900 * time.Millisecond}, // the kernel's own default is a second
		{300 * time.Millisecond, 250 * time.Millisecond, testkit.Patience},
	} {
		l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1000, FlushTimeout: c.collect})
		start := time.Now()
		endtoend.SendNumbers(t, l.From, 0, 1)
		endtoend.NextLogged(t, l.Reader, 1)
		if took := time.Since(start); took < c.least || took > c.most {
			t.Errorf("FlushTimeout %v: %v, not between %v and %v", c.collect, took, c.least, c.most)
		}
	}
}

func TestParametersReachTheKernel(t *testing.T) {
	n := endtoend.NewNet(t)
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{5}})
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{6}, CopyRange: 99, FlushTimeout: 2 * time.Second})
	endtoend.OpenLog(t, n, nflog.Config{Groups: []uint16{7}, MetadataOnly: true, FlushTimeout: 11 * time.Millisecond})
	if got, want := logGroups(t, n), "5 2 65531 1, 6 2 99 200, 7 1 0 2"; got != want {
		t.Errorf("groups %q, want %q", got, want)
	}
}

func TestDatagramsOfEverySizeAreWhole(t *testing.T) {
	for _, size := range []uint32{0, 4096, 16384, 32768, 65536, 131072} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			const sent = 400
			if size != 0 && int(size) < os.Getpagesize() {
				t.Skip("smaller than a page")
			}
			l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 10000, FlushTimeout: time.Hour, BufferSize: size})
			var lengths []int
			b := l.Reader.NewBatch()
			// receive keeps room on the socket: without privilege over the
			// whole system it holds one of the longest datagrams.
			receive := func() {
				for n := 1; n > 0; n = len(b.Packets) {
					testkit.Must(t, l.Reader.TryReceive(b))
					for i := range b.Packets {
						lengths = append(lengths, len(b.Packets[i].Payload))
					}
				}
			}
			for i := range sent {
				endtoend.Send(t, l.From, strings.Repeat("x", 600+i))
				if i%20 == 0 {
					receive()
				}
			}
			endtoend.Send(t, l.From, strings.Repeat("y", 60000)) // larger than most buffers
			receive()
			stopped := testkit.Background(func() error { return l.Reader.Shutdown(context.Background()) })
			rest, err := collectUntil(context.Background(), l.Reader)
			testkit.WantError(t, "loop", err, net.ErrClosed)
			testkit.Must(t, testkit.Next(t, stopped))
			for _, p := range rest {
				lengths = append(lengths, len(p.Payload))
			}
			if s := l.Reader.Stats(); len(lengths) != sent+1 || s.Malformed != 0 || s.Lost != 0 {
				t.Fatalf("%d packets of %d, stats %+v", len(lengths), sent+1, s)
			}
			for i, n := range lengths[:sent] {
				if n != 28+600+i {
					t.Errorf("packet %d has %d bytes, want %d", i, n, 28+600+i)
				}
			}
			if n := lengths[sent]; n != 28+60000 {
				t.Errorf("the longest packet has %d bytes", n)
			}
		})
	}
}

func TestLogOverflowIsCountedToThePacket(t *testing.T) {
	for _, threshold := range []uint32{1, 10} {
		t.Run(fmt.Sprintf("threshold %d", threshold), func(t *testing.T) {
			const sent = 2000
			var reported testkit.Errors
			l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{
				Threshold: threshold, FlushTimeout: time.Hour, OnError: reported.Add,
				Socket: nfnl.Config{ReadBuffer: 32 << 10},
			})
			endtoend.SendNumbers(t, l.From, 0, sent)
			b := l.Reader.NewBatch()
			for n := 1; n > 0; n = len(b.Packets) {
				testkit.Must(t, l.Reader.TryReceive(b))
			}
			if s := l.Reader.Stats(); s.Lost != 0 || s.SocketDrops == 0 {
				t.Errorf("before anything follows the gap: %+v", s)
			}
			endtoend.SendNumbers(t, l.From, sent, int(threshold)) // makes the gap visible
			receiveLog(t, l.Reader, b)
			s := l.Reader.Stats()
			if s.Lost == 0 || s.Packets+s.Lost != sent+uint64(threshold) || s.Lost != uint64(s.SocketDrops)*uint64(threshold) {
				t.Errorf("%d packets, %d lost of %d; %d datagrams dropped", s.Packets, s.Lost, sent+threshold, s.SocketDrops)
			}
			endtoend.WantOverruns(t, &reported, s.Lost, false)
			if g := l.Reader.GroupStats(5); g != (nflog.GroupStats{Packets: s.Packets, Lost: s.Lost}) {
				t.Errorf("group 5 has %+v, the reader %+v", g, s)
			}
			for _, err := range reported.All() {
				if o := (*nfnl.OverrunError)(nil); errors.As(err, &o) && o.Group != 5 {
					t.Errorf("lost by group %d, want 5", o.Group)
				}
			}
			endtoend.SendNumbers(t, l.From, sent, int(threshold)) // the socket works again
			receiveLog(t, l.Reader, b)
			if after := l.Reader.Stats(); after.Lost != s.Lost {
				t.Errorf("%d lost, then %d", s.Lost, after.Lost)
			}
		})
	}
}
