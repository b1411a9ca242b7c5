package nfqueue_test

import (
	"slices"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// blocked runs a handler that decides on packets until one whose data is
// "block", and blocks there until the function it returns is called.
func blocked(t testing.TB, q *nfqueue.Queue) (unblock func()) {
	release := make(chan struct{})
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if data(p.Payload) == "block" {
			select {
			case <-release:
			case <-time.After(2 * testkit.Patience):
				t.Error("nobody unblocked the handler")
			}
		}
		return nfqueue.Accept()
	})
	var done bool
	unblock = func() {
		if !done {
			done = true
			close(release)
		}
	}
	t.Cleanup(unblock)
	return unblock
}

func TestBlockedHandlerDoesNotKeepVerdictsBack(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	var before []uint32
	for range 3 {
		before = append(before, k.Enqueue(packet("x")))
	}
	at := k.Enqueue(packet("block"))
	behind := k.Enqueue(packet("y"))
	unblock := blocked(t, q)
	for _, id := range before {
		wantVerdict(t, k, id, nfqueue.Accept())
	}
	if left := k.Waiting(); !slices.Equal(left, []uint32{at, behind}) {
		t.Errorf("waiting are %v", left)
	}
	unblock()
	wantVerdict(t, k, at, nfqueue.Accept())
	wantVerdict(t, k, behind, nfqueue.Accept())
}

func TestHandlerThatBlocksTwiceDoesNotKeepVerdictsBack(t *testing.T) {
	q, k := open(t, nfqueue.Config{})
	var ids []uint32
	for range 4 {
		ids = append(ids, k.Enqueue(packet("x")))
	}
	proceed := make(chan struct{})
	start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
		if p.ID == ids[1] || p.ID == ids[3] {
			<-proceed
		}
		return nfqueue.Accept()
	})
	wantVerdict(t, k, ids[0], nfqueue.Accept())
	proceed <- struct{}{}
	wantVerdict(t, k, ids[1], nfqueue.Accept()) // while it blocks on the last
	wantVerdict(t, k, ids[2], nfqueue.Accept())
	proceed <- struct{}{}
	wantVerdict(t, k, ids[3], nfqueue.Accept())
}

// Whoever looks for slow handlers has stopped when no packets came for a while, or
// has seen many batches of a quick one.
func TestVerdictsDoNotWaitForAHandlerThatWasQuickBefore(t *testing.T) {
	for name, pause := range map[string]time.Duration{"just now": 0, "a while ago": 20 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{})
			proceed := make(chan struct{})
			start(t, q, func(p *nfqueue.Packet) nfqueue.Verdict {
				if data(p.Payload) == "block" {
					<-proceed
				}
				return nfqueue.Accept()
			})
			// together makes packets wait behind one whose handler blocks, and lets that go.
			together := func(packets ...string) (ids []uint32) {
				gate := k.Enqueue(packet("block"))
				for _, p := range packets {
					ids = append(ids, k.Enqueue(packet(p)))
				}
				proceed <- struct{}{}
				wantVerdict(t, k, gate, nfqueue.Accept())
				return ids
			}
			for range 100 {
				for _, id := range together("x", "x") {
					wantVerdict(t, k, id, nfqueue.Accept())
				}
			}
			time.Sleep(pause)
			for range 3 { // when it is found slow, and when it is known to be
				ids := together("x", "block", "x")
				wantVerdict(t, k, ids[0], nfqueue.Accept())
				proceed <- struct{}{}
				wantVerdict(t, k, ids[1], nfqueue.Accept())
				wantVerdict(t, k, ids[2], nfqueue.Accept())
			}
		})
	}
}

func TestFlushAfterIsTheConfigured(t *testing.T) {
	q, k := open(t, nfqueue.Config{FlushAfter: time.Hour})
	first, second := k.Enqueue(packet("x")), k.Enqueue(packet("block"))
	unblock := blocked(t, q)
	testkit.Await(t, "Stats.Packets is 2", func() bool { return q.Stats().Packets == 2 })
	if left := k.Waiting(); !slices.Equal(left, []uint32{first, second}) {
		t.Errorf("waiting are %v", left)
	}
	unblock()
	wantVerdict(t, k, first, nfqueue.Accept())
}
