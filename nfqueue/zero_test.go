package nfqueue_test

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestZeroQueueIsClosed(t *testing.T) {
	t.Run("zero", func(t *testing.T) { wantClosed(t, new(nfqueue.Queue)) })
	t.Run("nil", func(t *testing.T) { wantClosed(t, nil) })
	t.Run("there is none", func(t *testing.T) { wantClosed(t, new(nfqueue.Queues).Queue(0)) })
}

// wantClosed fails the test unless everything says that q is closed.
func wantClosed(t *testing.T, q *nfqueue.Queue) {
	t.Helper()
	for name, call := range map[string]func() error{
		"Run":             func() error { return q.Run(context.Background(), accept) },
		"Receive":         func() error { return q.Receive(q.NewBatch()) },
		"TryReceive":      func() error { return q.TryReceive(q.NewBatch()) },
		"SetVerdict":      func() error { return q.SetVerdict(1, nfqueue.Accept()) },
		"SetVerdictUpTo":  func() error { return q.SetVerdictUpTo(1, nfqueue.Accept()) },
		"SetVerdictAll":   func() error { return q.SetVerdictAll(nfqueue.Accept()) },
		"Configure":       func() error { return q.Configure(nfqueue.Config{}) },
		"KernelStats":     func() error { _, err := q.KernelStats(); return err },
		"Links":           func() error { _, err := q.Links(); return err },
		"SyscallConn":     func() error { _, err := q.SyscallConn(); return err },
		"SetReadDeadline": func() error { return q.SetReadDeadline(time.Now()) },
	} {
		if err := call(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s := q.Stats(); s != (nfqueue.Stats{}) {
		t.Errorf("stats %+v", s)
	}
	if g, c := q.Granted(), q.Config(); g != (nfqueue.Granted{}) || c.CopyRange != 0 || c.MaxLen != 0 {
		t.Errorf("granted %+v, Config %+v", g, c)
	}
	if err := q.Send(q.NewBatch()); err != nil { // nothing
		t.Errorf("Send: %v", err)
	}
	for range 2 {
		if err := q.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func TestZeroQueuesAreNone(t *testing.T) {
	t.Run("zero", func(t *testing.T) { wantNone(t, new(nfqueue.Queues)) })
	t.Run("nil", func(t *testing.T) { wantNone(t, nil) })
}

// second returns the error of a call with two results.
func second[T any](_ T, err error) error { return err }

// wantNone fails the test unless qs are no queues.
func wantNone(t *testing.T, qs *nfqueue.Queues) {
	t.Helper()
	for name, err := range map[string]error{
		"Run":           qs.Run(context.Background(), accept),
		"Configure":     qs.Configure(nfqueue.Config{}),
		"SetVerdictAll": qs.SetVerdictAll(nfqueue.Accept()),
		"Links":         second(qs.Links()),
		"KernelStats":   second(qs.KernelStats()),
	} {
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if g, c := qs.Granted(), qs.Config(); g != (nfqueue.Granted{}) || c.MaxLen != 0 {
		t.Errorf("granted %+v, Config %+v", g, c)
	}
	if n, s := qs.Len(), qs.Stats(); n != 0 || s != (nfqueue.Stats{}) {
		t.Errorf("%d of them, stats %+v", n, s)
	}
	if err := errors.Join(qs.Close(), qs.Close()); err != nil {
		t.Error(err)
	}
}

func TestZeroBatchIsOfNoQueue(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	for kind, b := range map[string]*nfqueue.Batch{"zero": new(nfqueue.Batch), "nil": nil} {
		for name, err := range map[string]error{"Receive": q.Receive(b), "TryReceive": q.TryReceive(b), "Send": q.Send(b)} {
			if err == nil || errors.Is(err, net.ErrClosed) {
				t.Errorf("%s, %s: %v", kind, name, err)
			}
		}
	}
}

func TestZeroTicketStandsForNothing(t *testing.T) {
	if err := (nfqueue.Ticket{}).SetVerdict(nfqueue.Accept()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("got %v", err)
	}
	var p nfqueue.Packet
	if err := p.Ticket().SetVerdict(nfqueue.Accept()); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a packet from nowhere: got %v", err)
	}
}
