//go:build linux

package faults

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfnl"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// With default settings it is the socket that is full first, however large the
// packets are and however much of them is copied: what is lost there has an ID, and
// so is counted exactly without any help of /proc, also with FailOpen.
func TestSocketIsFullBeforeTheQueueIs(t *testing.T) {
	for _, c := range []struct {
		name       string
		cfg        nfqueue.Config
		size, sent int // more than the socket has room for
	}{
		{"small packets", nfqueue.Config{}, 64, 24000},
		{"small packets, FailOpen", nfqueue.Config{FailOpen: true}, 64, 24000},
		{"packets of 1400 bytes, FailOpen", nfqueue.Config{FailOpen: true}, 1400, 10000},
		{"a small range, FailOpen", nfqueue.Config{CopyRange: 128, FailOpen: true}, 1400, 4000},
		{"MetadataOnly, FailOpen", nfqueue.Config{MetadataOnly: true, FailOpen: true}, 64, 4000},
	} {
		t.Run(c.name, func(t *testing.T) {
			var reported testkit.Errors
			c.cfg.OnError = reported.Add
			l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, c.cfg)
			release := endtoend.Stall(t, l.Queue)
			body := strings.Repeat("x", c.size)
			for range c.sent {
				endtoend.Send(t, l.From, body)
			}
			if k, ok := endtoend.KernelStats(t, l.Queue); ok && k.Full > 0 {
				t.Errorf("the kernel says %+v: the queue was full", k)
			}
			release()
			testkit.Await(t, "all packets are decided", func() bool { // the last ones show what was lost before them
				endtoend.Send(t, l.From, body)
				n := endtoend.Packets(t, l.Rule)
				time.Sleep(time.Millisecond) // for the handler, on one processor
				s := l.Queue.Stats()
				return s.Packets+s.Lost == n
			})
			s := l.Queue.Stats()
			if s.Lost == 0 || c.cfg.FailOpen != (s.Bypassed == s.Lost) {
				t.Errorf("%+v: want packets lost, and with FailOpen all of them bypassed", s)
			}
			endtoend.WantOverruns(t, &reported, s.Lost, c.cfg.FailOpen)
		})
	}
}

// What bounds memory by default goes by how much of a packet is copied, also after
// Configure, and is shared out between the queues that one handler can stall.
func TestDefaultsThatBoundMemory(t *testing.T) {
	const kib = 1 << 10
	for _, c := range []struct {
		name         string
		cfg          nfqueue.Config
		buffer       int
		maxLen       uint32
		held, heldKB int
	}{
		{"default", nfqueue.Config{}, 8192 * kib, 65536, 8192, 32768},
		{"MetadataOnly", nfqueue.Config{MetadataOnly: true}, 450 * kib, 65536, 8192, 32768},
		{"128 bytes", nfqueue.Config{CopyRange: 128}, 525 * kib, 65536, 8192, 32768},
		{"MaxLen 1000", nfqueue.Config{MaxLen: 1000}, 8192 * kib, 1000, 500, 32768},
		{"MaxLen 1", nfqueue.Config{MaxLen: 1}, 8192 * kib, 1, 1, 32768},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n, share := range map[int]int{1: 1, 2: 2, 20: 8} {
				qs := endtoend.OpenRange(t, endtoend.NewNet(t), c.cfg, n)
				q := qs.Queue(n - 1)
				opened := q.Granted().ReadBuffer // less than asked for, without the privilege
				for _, changed := range []nfqueue.Config{{CopyRange: 1}, c.cfg} {
					g := q.Granted()
					if g.MaxLen != c.maxLen || g.MaxHeld != max(c.held/share, 1) || g.MaxHeldBytes != c.heldKB*kib/share {
						t.Errorf("one of %d: %+v", n, g)
					}
					if got := q.Granted().ReadBuffer; got != opened || got > 2*c.buffer/share {
						t.Errorf("one of %d: the receive buffer is %d, and was %d at first; %d was asked for", n, got, opened, c.buffer/share)
					}
					testkit.Must(t, qs.Configure(changed))
					testkit.Must(t, qs.Configure(c.cfg))
				}
			}
		})
	}
}

// A range that is made small later makes the receive buffer small too.
func TestReadBufferFollowsCopyRange(t *testing.T) {
	for _, c := range []struct {
		name    string
		asked   int
		smaller bool
	}{{"by default", 0, true}, {"unless it was asked for", 1 << 20, false}} {
		t.Run(c.name, func(t *testing.T) {
			q := endtoend.OpenQueue(t, endtoend.NewNet(t), nfqueue.Config{Socket: nfnl.Config{ReadBuffer: c.asked}})
			before := q.Granted().ReadBuffer
			testkit.Must(t, q.Configure(nfqueue.Config{MetadataOnly: true}))
			after := q.Granted().ReadBuffer
			if smaller := after < before; smaller != c.smaller && before > 2*450<<10 {
				t.Errorf("%d bytes, and %d before", after, before)
			}
		})
	}
}

// Packets that are held while nobody answers leave room for others: what comes above
// MaxHeld gets the fallback, and is reported.
func TestHeldPacketsLeaveRoomForOthers(t *testing.T) {
	const maxLen, sent = 200, 300
	var reported testkit.Errors
	l := endtoend.NewQueuedUDP(t, endtoend.IPv4, lab.Input, nfqueue.Config{MaxLen: maxLen, OnError: reported.Add})
	endtoend.RunQueue(t, l.Queue, func(p *nfqueue.Packet) nfqueue.Verdict {
		if string(p.Payload[endtoend.IPv4.Headers:]) == "pass" {
			return nfqueue.Accept()
		}
		return nfqueue.Hold()
	})
	for i := range uint64(sent) {
		endtoend.Send(t, l.From, "hold")
		testkit.Await(t, "it is received", func() bool { return l.Queue.Stats().Packets > i })
	}
	for range 10 {
		endtoend.Send(t, l.From, "pass")
		endtoend.WantReceived(t, l.To, "pass")
	}
	reported.WantOnly(t, nfqueue.ErrTooManyHeld)
	if s := l.Queue.Stats(); s.Held != maxLen/2 || s.Refused != sent-maxLen/2 || s.Full != 0 {
		t.Errorf("stats %+v", s)
	}
}

// mostMemory is what a stalled handler may cost with default settings.
const mostMemory = 256 << 20

// The kernel keeps the whole of each packet that waits, and charges the socket for
// what it copies: large packets and a small range are the worst that can come.
func TestStalledHandlerCostsLittleMemory(t *testing.T) {
	const size, sent = 1200 * 50, 8000 // 480 MB
	r := endtoend.NewRouted(t)
	cfg := nfqueue.Config{CopyRange: 128}
	q := endtoend.OpenQueue(t, r.Router, cfg)
	endtoend.AddRule(t, r.Router, lab.IPv4, lab.Forward, lab.UDP(9999), lab.Queue(0))
	endtoend.Stall(t, q)
	_, c := endtoend.UDPGSOPair(t, r, endtoend.IPv4)
	before := available(t)
	for i := range sent {
		endtoend.Send(t, c, string(bytes.Repeat([]byte("x"), size)))
		if i%(sent/4) == 0 {
			q.Configure(cfg) // takes what is there off the socket
		}
	}
	if k, ok := endtoend.KernelStats(t, q); ok && (k.Waiting == 0 || k.Waiting*size > mostMemory) {
		t.Errorf("%d packets of %d bytes wait", k.Waiting, size)
	}
	if used := before - available(t); isSmall() && used > mostMemory {
		t.Errorf("%d MiB of memory are used", used>>20)
	} else {
		t.Logf("%d MiB of memory are used", used>>20)
	}
}

// isSmall reports whether this is a machine with little memory, which runs nothing
// but the test, as the virtual ones do.
func isSmall() bool { n, err := memory("MemTotal"); return err == nil && n <= 1<<30 }

// available returns how much memory is free, in bytes.
func available(t testing.TB) int64 {
	t.Helper()
	n, err := memory("MemAvailable")
	testkit.Must(t, err)
	return n
}

// memory reads /proc/meminfo.
func memory(field string) (int64, error) {
	b, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	m := regexp.MustCompile(`(?m)^` + field + `:\s*(\d+) kB$`).FindSubmatch(b)
	if m == nil {
		return 0, fmt.Errorf("no %s in %q", field, b)
	}
	n, err := strconv.ParseInt(string(m[1]), 10, 64)
	return n << 10, err
}
