package nfqueue_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestNilContextsAreErrors(t *testing.T) {
	q, _ := open(t, nfqueue.Config{})
	qs := nfqueue.QueuesOf(q)
	var none context.Context
	for name, err := range map[string]error{
		"Run":             q.Run(none, accept),
		"Run of several":  qs.Run(none, accept),
		"no handler":      q.Run(context.Background(), nil),
		"nor for several": qs.Run(context.Background(), nil),
		"Shutdown":        q.Shutdown(none),
		"of several":      qs.Shutdown(none),
	} {
		if err == nil || !strings.Contains(err.Error(), "is nil") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := q.SetVerdictAll(nfqueue.Accept()); err != nil {
		t.Errorf("afterwards the queue is closed: %v", err)
	}
}

func TestBatchUsedTwiceAtOnceIsAnError(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	b := q.NewBatch()
	received := testkit.Background(func() error { return q.Receive(b) })
	testkit.Await(t, "somebody receives", func() bool { return q.Receivers() > 0 })
	for name, f := range map[string]func(*nfqueue.Batch) error{"Receive": q.Receive, "TryReceive": q.TryReceive, "Send": q.Send} {
		if err := f(b); err == nil || !strings.Contains(err.Error(), "another goroutine") {
			t.Errorf("%s: %v", name, err)
		}
	}
	id := k.Enqueue(packet("x"))
	if err := testkit.Next(t, received); err != nil {
		t.Fatal(err)
	}
	b.Verdicts[0] = nfqueue.Stop()
	if err := q.Send(b); err != nil {
		t.Fatal(err)
	}
	wantVerdict(t, k, id, nfqueue.Stop())
}
