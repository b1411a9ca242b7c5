//go:build linux

package log

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nfnl"
)

// A loop is left while an event loop reads the socket, and with it what would make
// the descriptor readable for what the other has left.
func TestEventLoopGetsWhatALoopBesideItLeaves(t *testing.T) {
	var tap atomic.Pointer[func()]
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{
		Threshold: 10, FlushTimeout: time.Hour,
		Socket: nfnl.Config{Tap: func(sent bool, _ []byte) {
			if f := tap.Load(); f != nil && !sent {
				tap.Store(nil)
				(*f)()
			}
		}},
	})
	begun, leave := make(chan bool), make(chan bool)
	endtoend.SendNumbers(t, l.From, 0, 10)
	left := testkit.Background(func() error {
		for _, err := range l.Reader.Packets(t.Context()) {
			begun <- true
			<-leave
			return err
		}
		return nil
	})
	testkit.Next(t, begun)
	endtoend.SendNumbers(t, l.From, 10, 10)
	endtoend.NextLogged(t, l.Reader, 3)
	b := l.Reader.NewBatch()
	testkit.Must(t, l.Reader.TryReceive(b))
	if len(b.Packets) != 7 {
		t.Fatalf("%d packets were left by a loop before", len(b.Packets))
	}

	f := func() {
		close(leave)
		testkit.Must(t, testkit.Next(t, left))
	}
	tap.Store(&f)
	testkit.Must(t, l.Reader.TryReceive(b))
	for len(b.Packets) == 0 {
		if !readable(t, l.Reader, time.Second) {
			t.Fatal("poll sees nothing")
		}
		testkit.Must(t, l.Reader.TryReceive(b))
	}
	if len(b.Packets) != 9 {
		t.Errorf("%d packets were left, want 9", len(b.Packets))
	}
}
