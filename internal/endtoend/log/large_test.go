//go:build linux

package log

import (
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/internal/endtoend"
	"github.com/nfpacket/nfpacket/internal/lab"
	"github.com/nfpacket/nfpacket/nflog"
)

// A packet that is longer than the kernel's buffer for a group gets one of its
// own, which the allocator rounds up: others fit behind it, into a datagram
// that is far longer than either.
func TestLogOfPacketsBehindALargeOne(t *testing.T) {
	sizes := []int{65507, 60000, 10}
	l := endtoend.NewLoggedUDP(t, endtoend.IPv4, lab.Output, nflog.Config{Threshold: uint32(len(sizes)), FlushTimeout: time.Minute})
	for _, n := range sizes {
		endtoend.Send(t, l.From, string(make([]byte, n)))
	}
	for i, p := range endtoend.NextLogged(t, l.Reader, len(sizes)) {
		if want := min(sizes[i]+endtoend.IPv4.Headers, 65531); len(p.Payload) != want {
			t.Errorf("packet %d has %d bytes, want %d", i, len(p.Payload), want)
		}
	}
	if s := l.Reader.Stats(); s.Malformed != 0 || s.Lost != 0 {
		t.Errorf("stats %+v", s)
	}
}
