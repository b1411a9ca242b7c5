package nfqueue_test

import (
	"strings"
	"testing"

	"github.com/nfpacket/nfpacket/nfqueue"
)

func TestRangeOfQueuesMustBeOfNumbers(t *testing.T) {
	for _, c := range []struct {
		first uint16
		n     int
	}{{0, 0}, {0, -1}, {0, 65537}, {65535, 2}, {1, 65536}} {
		qs, err := nfqueue.OpenRange(nfqueue.Config{Queue: c.first}, c.n)
		if err == nil || qs != nil || !strings.Contains(err.Error(), "65535") {
			t.Errorf("%d queues from %d on: %v", c.n, c.first, err)
		}
	}
}

func TestRangeOfQueuesIsRefusedLikeOneQueue(t *testing.T) {
	for says, cfg := range wrong {
		if qs, err := nfqueue.OpenRange(cfg, 2); err == nil || qs != nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one with %q", err, says)
		}
	}
}
