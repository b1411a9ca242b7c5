package nflog_test

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
)

// Close comes while loops wait and yield, Receive waits, and others configure
// and count: everything ends with net.ErrClosed, and no packet comes twice.
func TestCloseAmidEverything(t *testing.T) {
	r, k := open(t, nflog.Config{})
	var seen sync.Map
	note := func(p *nflog.Packet) {
		if _, twice := seen.LoadOrStore(p.Seq, true); twice {
			t.Errorf("packet %d came twice", p.Seq)
		}
	}
	var ends []<-chan error
	until := func(f func() error) { // it fails
		ends = append(ends, testkit.Background(func() error {
			for {
				if err := f(); err != nil {
					return err
				}
			}
		}))
	}
	for range 3 {
		until(func() error {
			for p, err := range r.Packets(context.Background()) {
				if err != nil {
					return err
				}
				if note(p); p.Seq%7 == 0 {
					break
				}
			}
			return nil
		})
	}
	b := r.NewBatch()
	until(func() error {
		err := r.Receive(b)
		for i := range b.Packets {
			note(&b.Packets[i])
		}
		return err
	})
	for range 2 {
		until(func() error {
			r.Stats()
			return r.Configure(r.Config())
		})
	}
	for range 1000 {
		k.Log(packets("abc")...)
	}
	r.Close()
	for _, ended := range ends {
		if err := testkit.Next(t, ended); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}
