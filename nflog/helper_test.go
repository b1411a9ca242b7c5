package nflog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"testing/synctest"

	"github.com/nfpacket/nfpacket/internal/testkit"
	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestMain(m *testing.M) { os.Exit(testkit.WithoutLeaks(m).Run()) }

var errCause = errors.New("the cause")

// open opens group 5 of a fake kernel, unless cfg has groups.
func open(t testing.TB, cfg nflog.Config) (*nflog.Reader, *nflogtest.Kernel) {
	t.Helper()
	if cfg.Groups == nil {
		cfg.Groups = []uint16{5}
	}
	return nflogtest.Open(t, cfg)
}

// packets returns a packet for each letter of s.
func packets(s string) (all []nflog.Packet) {
	for i := range len(s) {
		all = append(all, nflog.Packet{Proto: 0x0800, Family: nfnl.IPv4, Payload: []byte(s[i : i+1])})
	}
	return all
}

// letters undoes packets.
func letters(all []nflog.Packet) (s string) {
	for i := range all {
		s += string(all[i].Payload)
	}
	return s
}

// next iterates over r until it has yielded n packets, breaks, and returns them.
func next(t testing.TB, r *nflog.Reader, n int) (s string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for p, err := range r.Packets(ctx) {
		if err != nil {
			t.Fatalf("after %q: %v", s, err)
		}
		s += string(p.Payload)
		if len(s) >= n {
			break
		}
	}
	return s
}

// all iterates over r until the end, and returns the packets and the error.
func all(ctx context.Context, r *nflog.Reader) (s string, err error) {
	for p, perr := range r.Packets(ctx) {
		if err != nil {
			return s, fmt.Errorf("something came after the error %w", err)
		}
		if perr != nil {
			if p != nil {
				return s, fmt.Errorf("a packet came with the error %w", perr)
			}
			err = perr
			continue
		}
		s += string(p.Payload)
	}
	return s, err
}

// receive returns what one Receive brings.
func receive(t testing.TB, r *nflog.Reader, b *nflog.Batch) string {
	t.Helper()
	if err := testkit.Next(t, testkit.Background(func() error { return r.Receive(b) })); err != nil {
		t.Fatal(err)
	}
	return letters(b.Packets)
}

// tryReceive returns what one TryReceive brings.
func tryReceive(t testing.TB, r *nflog.Reader, b *nflog.Batch) string {
	t.Helper()
	if err := r.TryReceive(b); err != nil {
		t.Fatal(err)
	}
	return letters(b.Packets)
}

// bubble runs f as a subtest in a bubble of testing/synctest, where the socket is
// memory. There synctest.Wait returns once all its other goroutines wait for packets,
// or for each other.
func bubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// wantStats fails the test unless the counts are those.
func wantStats(t testing.TB, r *nflog.Reader, packets, lost, malformed uint64) {
	t.Helper()
	s := r.Stats()
	if s.Packets != packets || s.Lost != lost || s.Malformed != malformed {
		t.Errorf("%d packets, %d lost, %d malformed; want %d, %d, %d", s.Packets, s.Lost, s.Malformed, packets, lost, malformed)
	}
}
