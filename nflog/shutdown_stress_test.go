package nflog_test

import (
	"errors"
	"net"
	"sync/atomic"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
)

// TestShutdownAmidEverything counts: whatever was logged before Shutdown returns
// to a bound group is received by somebody, once.
func TestShutdownAmidEverything(t *testing.T) {
	for round := range 20 {
		conn, k := nflogtest.New(t)
		r, err := nflog.OpenConn(conn, nflog.Config{Groups: []uint16{5}, Batch: 1 + round%3})
		if err != nil {
			t.Fatal(err)
		}
		var got atomic.Int64
		var ends []<-chan error
		for i := range 3 {
			ends = append(ends, testkit.Background(func() error {
				for {
					for _, err := range r.Packets(t.Context()) {
						if err != nil {
							return err
						}
						if n := got.Add(1); i == 0 && n%5 == 0 {
							break
						}
					}
				}
			}))
		}
		ends = append(ends, testkit.Background(func() error {
			for b := r.NewBatch(); ; {
				if err := r.Receive(b); err != nil {
					return err
				}
				got.Add(int64(len(b.Packets)))
			}
		}))
		k.Log(packets("abc")...)
		testkit.Await(t, "somebody receives", func() bool { return got.Load() > 0 })
		for range 200 {
			k.Log(packets("abc")...)
			k.Collect(packets("de")...)
		}
		if err := testkit.Next(t, shutdown(t, r)); err != nil {
			t.Error(err)
		}
		for _, ended := range ends {
			if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
				t.Error(err)
			}
		}
		const logged = 3 + 200*5
		if s := r.Stats(); got.Load() != logged || s.Packets != logged || s.Lost+s.Malformed+s.Discarded != 0 {
			t.Fatalf("received %d of %d, stats %+v", got.Load(), logged, s)
		}
	}
}
