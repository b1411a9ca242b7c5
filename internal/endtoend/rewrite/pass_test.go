//go:build linux

package rewrite

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
)

// A rewriter is a handler that rewrites one packet of those that are as a row
// says, and what came of it.
type rewriter struct {
	of     *traffic
	todo   atomic.Pointer[replacement]
	made   chan []byte   // the data of what was made of todo
	missed chan struct{} // a message began in a packet of another kind
}

func (w *rewriter) handle(p *nfqueue.Packet) nfqueue.Verdict {
	from, idle := w.of.data(p), w.todo.Load() == nil
	begins := w.of.stream && hasMessage(p)
	switch {
	case idle && begins:
		return nfqueue.Drop() // sent again: that would hide a loss
	case from == 0 && begins:
		notify(w.missed)
		return nfqueue.Accept()
	case idle || from == 0:
		return nfqueue.Accept()
	}
	packet, data := (*w.todo.Swap(nil))(p, from)
	w.made <- data
	return nfqueue.Accept().WithPayload(packet)
}

// notify makes c readable.
func notify(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// send sends messages past the hook until one is rewritten, and returns the data
// that was made of it and what receives it. TCP does not always begin with a GSO
// packet: after a SYN was sent again, it begins with one segment.
func (w *rewriter) send(t *testing.T, p place, replace replacement) (data []byte, receive func(int) []byte) {
	t.Helper()
	for range 10 {
		w.todo.Store(&replace)
		receive := p.send(t, w.of.message)
		select {
		case data := <-w.made:
			return data, receive
		case <-w.missed:
			if got := receive(len(w.of.message)); string(got) != w.of.message && w.todo.Load() != nil {
				t.Fatalf("received %d bytes, %.40q, of a message that was not changed", len(got), got)
			}
		case <-time.After(testkit.Patience):
			t.Fatal("no packet of this kind was queued")
		}
		if w.todo.Swap(nil) == nil { // sent again as one of the kind
			testkit.Next(t, w.made)
		}
		for len(w.missed) > 0 {
			<-w.missed
		}
	}
	t.Fatal("no message began in a packet of this kind")
	return nil, nil
}

// pass sends messages past the hook, one for each kind of rewrite.
func (k *traffic) pass(t *testing.T, r row, h lab.Hook, p place) {
	var reported testkit.Errors
	c, err := p.net.Chain(p.family, h, p.priority)
	testkit.Must(t, err)
	t.Cleanup(func() { testkit.Must(t, c.Delete()) }) // when the queue is closed
	q := endtoend.OpenQueue(t, p.net, nfqueue.Config{Fallback: nfqueue.Accept(), OnError: reported.Add, Conntrack: k.conntrack})
	_, err = c.Add(slices.Concat(p.match, []lab.Term{lab.Queue(0)})...)
	endtoend.SkipUnsupported(t, err)
	w := rewriter{of: k, made: make(chan []byte, 1), missed: make(chan struct{}, 1)}
	endtoend.RunQueue(t, q, w.handle)
	for _, name := range []string{"same length", "longer", "shorter", "much shorter", "other IP version"} {
		want, tried := r.at(t, name, h)
		if !tried {
			continue
		}
		want = k.onThisKernel(want)
		t.Run(name, func(t *testing.T) {
			reported.Reset()
			data, receive := w.send(t, p, k.replacement(name))
			k.compare(t, receive, data, want)
			if want != nil { // which is reported behind the batch
				testkit.Await(t, "for the report", func() bool { return len(reported.All()) > 0 })
				reported.WantOnly(t, want)
			} else if len(reported.All()) > 0 {
				t.Errorf("OnError was called with %v", reported.All())
			}
		})
	}
}

// replacement returns what a kind of rewrite does to this kind of packet.
func (k *traffic) replacement(name string) replacement {
	switch {
	case !k.intact || name == "other IP version":
		return replacements[name]
	case name == "longer":
		return padded
	}
	return marked
}

// padded is marked with bytes behind a tunnel's packet.
func padded(p *nfqueue.Packet, from int) ([]byte, []byte) {
	b, data := marked(p, from)
	return append(b, 0, 0, 0), data
}
