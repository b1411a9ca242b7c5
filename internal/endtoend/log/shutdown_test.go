//go:build linux

package log

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
	"golang.org/x/sys/unix"
)

// What the kernel has collected when Shutdown is called comes to the loop, which
// then ends; nothing that is logged before is missing.
func TestShutdownHandsOutWhatWasCollected(t *testing.T) {
	const sent = 300
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Groups: []uint16{5, 6}, Threshold: 1000, FlushTimeout: 5 * time.Second})
	endtoend.AddRule(t, l.Net, lab.IPv4, lab.Postrouting, lab.UDP(9999), lab.Log(6, "", 0, 0))
	endtoend.SendNumbers(t, l.From, 0, sent)
	start := time.Now()
	all := rest(t, l.Reader)
	if took := time.Since(start); took > 4*time.Second {
		t.Errorf("it took %v", took)
	}
	var of [7][]*nflog.Packet
	for _, p := range all {
		of[p.Group] = append(of[p.Group], p)
	}
	for _, group := range []int{5, 6} {
		endtoend.IPv4.WantNumbers(t, of[group], 0, sent)
	}
	if s := l.Reader.Stats(); s.Lost+s.Malformed+s.Discarded != 0 || s.Packets != 2*sent {
		t.Errorf("stats %+v", s)
	}
	if got := logGroups(t, l.Net); got != "" {
		t.Errorf("groups %q are bound", got)
	}
}

// rest shuts r down and returns what came of that.
func rest(t *testing.T, r *nflog.Reader) (all []*nflog.Packet) {
	t.Helper()
	b := r.NewBatch()
	testkit.Must(t, r.TryReceive(b)) // so that Shutdown waits for more
	down := testkit.Background(func() error { return endtoend.Shutdown(r) })
	var err error
	for err == nil {
		for i := range b.Packets {
			all = append(all, b.Packets[i].Clone())
		}
		err = r.Receive(b)
	}
	testkit.WantError(t, "Receive", err, net.ErrClosed)
	testkit.Must(t, testkit.Next(t, down))
	return all
}

// TestShutdownMakesRoomForWhatWasCollected fills the socket to the last datagram,
// so that what the kernel has collected would not fit.
func TestShutdownMakesRoomForWhatWasCollected(t *testing.T) {
	const threshold, collected = 10, 5
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{
		Threshold: threshold, FlushTimeout: time.Hour, Socket: nfnl.Config{ReadBuffer: 32 << 10},
	})
	endtoend.SendNumbers(t, l.From, 0, 100*threshold)
	b := l.Reader.NewBatch()
	fit := 0
	for n := 1; n > 0; n = len(b.Packets) {
		testkit.Must(t, l.Reader.TryReceive(b))
		fit += len(b.Packets)
	}
	drops := l.Reader.Stats().SocketDrops
	if drops == 0 {
		t.Fatal("the socket holds more than was sent")
	}

	endtoend.SendNumbers(t, l.From, 0, fit+collected)
	down := testkit.Background(func() error { return endtoend.Shutdown(l.Reader) })
	testkit.Await(t, "the group to be unbound", func() bool { return logGroups(t, l.Net) == "" })
	packets, err := collectUntil(context.Background(), l.Reader)
	testkit.WantError(t, "loop", err, net.ErrClosed)
	testkit.Must(t, testkit.Next(t, down))
	endtoend.IPv4.WantNumbers(t, packets, 0, fit+collected)
	if s := l.Reader.Stats(); s.Lost != 0 && s.Lost != uint64(100*threshold-fit) {
		t.Errorf("stats %+v", s)
	}
}

// An event loop, which looks at the descriptor and not at the Reader, sees what
// Shutdown has made the kernel deliver.
func TestEventLoopSeesWhatShutdownBrings(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 1000, FlushTimeout: time.Hour})
	b := l.Reader.NewBatch()
	testkit.Must(t, l.Reader.TryReceive(b))
	endtoend.SendNumbers(t, l.From, 0, 10)
	down := testkit.Background(func() error { return endtoend.Shutdown(l.Reader) })
	var all []*nflog.Packet
	for len(all) < 10 {
		if !readable(t, l.Reader, testkit.Patience) {
			t.Fatalf("poll sees nothing after %d packets", len(all))
		}
		for n := 1; n > 0; n = len(b.Packets) {
			err := l.Reader.TryReceive(b)
			if errors.Is(err, net.ErrClosed) {
				break
			}
			testkit.Must(t, err)
			for i := range b.Packets {
				all = append(all, b.Packets[i].Clone())
			}
		}
	}
	testkit.Must(t, testkit.Next(t, down))
	endtoend.IPv4.WantNumbers(t, all, 0, 10)
}

// readable waits until poll says that there is something to read.
func readable(t *testing.T, r *nflog.Reader, d time.Duration) bool {
	t.Helper()
	raw, err := r.SyscallConn()
	testkit.Must(t, err)
	n := 0
	testkit.Must(t, raw.Control(func(fd uintptr) {
		for err = unix.EINTR; err == unix.EINTR; {
			n, err = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int(d/time.Millisecond))
		}
	}))
	testkit.Must(t, err)
	return n > 0
}

// What is in the program and not on the socket, poll sees all the same: what a loop
// has left behind, and what Configure has taken off the socket.
func TestEventLoopSeesWhatIsInTheProgram(t *testing.T) {
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: 10, FlushTimeout: time.Hour})
	b := l.Reader.NewBatch()
	rest := func() (n int) {
		for {
			testkit.Must(t, l.Reader.TryReceive(b))
			if len(b.Packets) == 0 {
				return n
			}
			n += len(b.Packets)
		}
	}
	for name, leave := range map[string]func(){
		"a loop that was left": func() { endtoend.NextLogged(t, l.Reader, 3) },
		"a cancelled loop that was left": func() {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			n := 0
			for range l.Reader.Packets(ctx) {
				if cancel(); n == 2 {
					break
				}
				n++
			}
		},
		"Configure": func() {
			testkit.Must(t, l.Reader.Configure(nflog.Config{Groups: []uint16{5}, Threshold: 10, FlushTimeout: time.Hour}))
			endtoend.NextLogged(t, l.Reader, 3)
		},
		"Configure after a loop that was left": func() {
			endtoend.NextLogged(t, l.Reader, 3)
			testkit.Must(t, l.Reader.Configure(nflog.Config{Groups: []uint16{5}, Threshold: 10, FlushTimeout: time.Hour}))
		},
	} {
		endtoend.SendNumbers(t, l.From, 0, 10)
		leave()
		if !readable(t, l.Reader, time.Second) {
			t.Errorf("%s: poll sees nothing", name)
		}
		if n := rest(); n != 7 {
			t.Errorf("%s: %d packets were left", name, n)
		}
		if readable(t, l.Reader, 0) {
			t.Errorf("%s: poll sees what is no more", name)
		}
	}
}
