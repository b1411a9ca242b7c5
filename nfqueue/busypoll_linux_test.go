package nfqueue_test

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// polling reports whether some goroutine looks for packets again and again.
func polling() bool {
	b := make([]byte, 1<<20)
	return strings.Contains(string(b[:runtime.Stack(b, true)]), ".recvPolling(")
}

// exchange has a packet decided, and reports whether the Run that did it then
// polls for the next.
func exchange(t testing.TB, k *nfqueuetest.Kernel) bool {
	t.Helper()
	wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
	time.Sleep(time.Millisecond)
	return polling()
}

func TestBusyPollIsAsOpenAndConfigureSay(t *testing.T) {
	const longest = 10 * time.Millisecond
	for name, steps := range map[string][]time.Duration{
		"from the start": {longest, 0, longest},
		"later":          {0, longest, 0},
	} {
		t.Run(name, func(t *testing.T) {
			q, k := open(t, nfqueue.Config{BusyPoll: steps[0]})
			start(t, q, accept)
			for i, poll := range steps {
				if i > 0 {
					if err := q.Configure(nfqueue.Config{Queue: 7, BusyPoll: poll}); err != nil {
						t.Fatal(err)
					}
				}
				if poll > 0 {
					until(t, func() bool { return exchange(t, k) })
					continue
				}
				for range 10 {
					if exchange(t, k) {
						t.Fatalf("step %d: it polls", i)
					}
				}
			}
		})
	}
}
