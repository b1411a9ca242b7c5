package testkit

import (
	"errors"
	"slices"
	"sync"
	"testing"
)

// Errors keeps the errors that OnError is called with. Its zero value is ready,
// and its methods may be called at the same time.
type Errors struct {
	mu    sync.Mutex
	errs  []error
	taken int // how many of errs Take and Next have returned
}

// Add adds an error. It is what the OnError of a configuration is set to.
func (e *Errors) Add(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs = append(e.errs, err)
}

// All returns all errors, also those that were taken.
func (e *Errors) All() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.errs)
}

// Take returns the errors that have not been taken yet, and takes them. It returns
// nil if there are none.
func (e *Errors) Take() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	errs := append([]error(nil), e.errs[e.taken:]...)
	e.taken = len(e.errs)
	return errs
}

// Next waits for the next error that has not been taken, takes it, and reports an
// error of the test unless it matches target.
func (e *Errors) Next(t testing.TB, target error) (err error) {
	t.Helper()
	Await(t, "OnError is called", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.taken == len(e.errs) {
			return false
		}
		err = e.errs[e.taken]
		e.taken++
		return true
	})
	WantError(t, "OnError was called", err, target)
	return err
}

// Count returns how many errors match target.
func (e *Errors) Count(target error) (n int) {
	for _, err := range e.All() {
		if errors.Is(err, target) {
			n++
		}
	}
	return n
}

// WantOnly reports an error of the test unless there are errors, and all match
// target.
func (e *Errors) WantOnly(t testing.TB, target error) {
	t.Helper()
	if len(e.All()) == 0 {
		t.Errorf("OnError was not called with: %v", target)
	}
	e.WantNoneBut(t, target)
}

// WantNoneBut reports each error that does not match target as one of the test.
func (e *Errors) WantNoneBut(t testing.TB, target error) {
	t.Helper()
	for _, err := range e.All() {
		if !errors.Is(err, target) {
			t.Errorf("OnError was called with %q, want only: %v", err, target)
		}
	}
}

// WantNoMore reports each error that was not taken as one of the test.
func (e *Errors) WantNoMore(t testing.TB) {
	t.Helper()
	for _, err := range e.Take() {
		t.Errorf("OnError was called with: %v", err)
	}
}

// Reset forgets the errors so far.
func (e *Errors) Reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.errs, e.taken = nil, 0
}
