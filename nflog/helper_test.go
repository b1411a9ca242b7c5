package nflog_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nfpacket/nfpacket/nflog"
	"github.com/nfpacket/nfpacket/nflog/nflogtest"
	"github.com/nfpacket/nfpacket/nfnl"
)

func TestMain(m *testing.M) {
	status := m.Run()
	for end := time.Now().Add(patience); status == 0; time.Sleep(time.Millisecond) {
		left := stacks("nfpacket/internal/engine")
		if len(left) == 0 {
			break
		}
		if time.Now().After(end) {
			fmt.Fprintf(os.Stderr, "left behind:\n%s\n", strings.Join(left, "\n\n"))
			status = 1
		}
	}
	os.Exit(status)
}

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

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
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
	if err := background(t, func() error { return r.Receive(b) })(); err != nil {
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

// background runs f and returns how to wait for its result.
func background(t testing.TB, f func() error) (result func() error) {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return func() error {
		t.Helper()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			t.Fatalf("still waiting after %v:\n%s", patience, strings.Join(stacks(""), "\n\n"))
			return nil
		}
	}
}

// await waits until a condition holds.
func await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// parked waits until n goroutines wait for packets: one for the kernel, the
// others for that one.
func parked(t testing.TB, n int) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(time.Millisecond) {
		found := 0
		for _, s := range stacks("nflog.(*Reader).receive") {
			for _, place := range [][2]string{
				{"[IO wait", ""},
				{"[sync.Cond.Wait", "engine.(*memory).receive"},
				{"[select", "engine.(*Conn).acquire"},
			} {
				if strings.Contains(s, place[0]) && strings.Contains(s, place[1]) {
					found++
				}
			}
		}
		if found == n {
			return
		}
	}
	t.Fatalf("no %d goroutines wait:\n%s", n, strings.Join(stacks(""), "\n\n"))
}

// stacks returns the stacks of the goroutines that have s in theirs.
func stacks(s string) []string {
	buf := make([]byte, 1<<20)
	all := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	return slices.DeleteFunc(all[1:], func(g string) bool { return !strings.Contains(g, s) })
}

// told is an OnError that remembers.
type told struct {
	mu   sync.Mutex
	errs []error
}

func (o *told) onError(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.errs = append(o.errs, err)
}

// take returns what was told since it was last asked.
func (o *told) take() []error {
	o.mu.Lock()
	defer o.mu.Unlock()
	errs := o.errs
	o.errs = nil
	return errs
}

// wantStats fails the test unless the counts are those.
func wantStats(t testing.TB, r *nflog.Reader, packets, lost, malformed uint64) {
	t.Helper()
	s := r.Stats()
	if s.Packets != packets || s.Lost != lost || s.Malformed != malformed {
		t.Errorf("%d packets, %d lost, %d malformed; want %d, %d, %d", s.Packets, s.Lost, s.Malformed, packets, lost, malformed)
	}
}
