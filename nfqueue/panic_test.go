package nfqueue_test

import (
	"errors"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// startled runs a handler that accepts, holds the second packet, and does what
// end does at the fourth. It returns what it left behind.
func startled(t *testing.T, end func()) (recovered any, returned bool, waiting []uint32) {
	t.Helper()
	q, k := open(t, nfqueue.Config{Fallback: fallback})
	for range 6 {
		k.Enqueue(packet("x"))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { recovered = recover() }()
		q.Run(t.Context(), func(p *nfqueue.Packet) nfqueue.Verdict {
			switch p.ID {
			case 2:
				return nfqueue.Hold()
			case 4:
				if err := q.SetVerdict(6, nfqueue.Stop()); err != nil {
					t.Error(err)
				}
				end()
			}
			return nfqueue.Accept()
		})
		returned = true
	}()
	testkit.Next(t, done)
	for id, want := range map[uint32]nfqueue.Verdict{1: nfqueue.Accept(), 3: nfqueue.Accept(), 4: fallback, 5: fallback, 6: nfqueue.Stop()} {
		wantVerdict(t, k, id, want)
	}
	if s := q.Stats(); s.Fallbacks != 2 || s.Held != 1 {
		t.Errorf("stats %+v", s)
	}
	return recovered, returned, k.Waiting()
}

func TestPanicLeavesNoPacketBehind(t *testing.T) {
	recovered, returned, waiting := startled(t, func() { panic("oops") })
	if recovered != "oops" || returned || !slices.Equal(waiting, []uint32{2}) {
		t.Errorf("recovered %v, returned %v, waiting %v", recovered, returned, waiting)
	}
}

func TestGoexitLeavesNoPacketBehind(t *testing.T) {
	recovered, returned, waiting := startled(t, runtime.Goexit)
	if recovered != nil || returned || !slices.Equal(waiting, []uint32{2}) {
		t.Errorf("recovered %v, returned %v, waiting %v", recovered, returned, waiting)
	}
}

func TestPanicInOnErrorLeavesNoPacketBehind(t *testing.T) {
	q, k := open(t, nfqueue.Config{Fallback: fallback, OnError: func(err error) { panic(err) }})
	k.Lose(1)
	id := k.Enqueue(packet("x"))
	func() {
		defer func() {
			if err, _ := recover().(error); !errors.Is(err, syscall.ENOBUFS) {
				t.Errorf("recovered %v", err)
			}
		}()
		q.Run(t.Context(), accept)
	}()
	wantVerdict(t, k, id, fallback)
}

// What can no longer be sent is no fallback.
func TestPanicAfterCloseCountsNoFallbacks(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	for range 3 {
		k.Enqueue(packet("x"))
	}
	func() {
		defer func() { recover() }()
		q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict {
			q.Close()
			panic("oops")
		})
	}()
	if s := q.Stats(); s.Packets != 3 || s.Fallbacks != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestRunGoesOnAfterAPanic(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	k.Enqueue(packet("x"))
	func() {
		defer func() { recover() }()
		q.Run(t.Context(), func(*nfqueue.Packet) nfqueue.Verdict { panic("oops") })
	}()
	start(t, q, accept)
	wantVerdict(t, k, k.Enqueue(packet("y")), nfqueue.Accept())
}
