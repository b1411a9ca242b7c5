// Package testkit has what the tests of several packages need: waiting with a
// limit, the errors that OnError was called with, attributes by hand, and a check
// for leaks. It imports no package of this module, so any test can import it.
package testkit

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// Patience is how long a test waits for what must happen.
const Patience = 20 * time.Second

// Must fails the test at once on an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// WantError reports an error of the test unless got matches want.
func WantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Background calls f in a goroutine and returns the channel of its result, for Next.
func Background(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

// Start calls run in the background until the test ends or stop is called, which
// returns what run returns.
func Start(t testing.TB, run func(context.Context) error) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := Background(func() error { return run(ctx) })
	stop = sync.OnceValue(func() error {
		t.Helper()
		cancel()
		return Next(t, done)
	})
	t.Cleanup(func() { stop() })
	return stop
}

// Next returns the next value of c, and fails the test at once if none comes.
func Next[T any](t testing.TB, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(Patience):
		t.Fatalf("nothing came within %v", Patience)
		panic("unreachable")
	}
}

// Await waits until holds returns true, and fails the test at once if it never does.
// It is for state that nothing announces.
func Await(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(Patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited %v in vain: %s", Patience, what)
		}
	}
}
