package nfqueue_test

import (
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nfqueue"
	"github.com/nfpacket/nfpacket/nfqueue/nfqueuetest"
)

// processorTime returns what this process has used of processors.
func processorTime(t testing.TB) time.Duration {
	t.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// idle has packets decided, one at a time, and returns how much processor time usually
// goes into one and into waiting for the next, for as long as a poll may take.
func idle(t testing.TB, k *nfqueuetest.Kernel, longest time.Duration) time.Duration {
	t.Helper()
	var used [5]time.Duration
	for i := range used {
		before := processorTime(t)
		wantVerdict(t, k, k.Enqueue(packet("x")), nfqueue.Accept())
		time.Sleep(longest)
		used[i] = processorTime(t) - before
	}
	slices.Sort(used[:])
	return used[len(used)/2]
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
				// On a busy machine a poll gets part of a processor, and the garbage
				// collector may run while nothing polls.
				testkit.Await(t, "the processor is as busy as that", func() bool { return (idle(t, k, longest) > longest/4) == (poll > 0) })
			}
		})
	}
}
