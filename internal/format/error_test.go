package format

import (
	"errors"
	"testing"
)

// A costly error counts how often its text was made.
type costly struct{ asked int }

func (c *costly) Error() string { c.asked++; return "costly" }

func TestWrappedErrorIsAskedWhenItIsShown(t *testing.T) {
	cause := new(costly)
	err := Wrap("outer: ", Wrap("inner: ", cause))
	if !errors.Is(err, cause) || cause.asked != 0 {
		t.Errorf("matches %v, asked %d times before it was shown", errors.Is(err, cause), cause.asked)
	}
	if got := err.Error(); got != "outer: inner: costly" || cause.asked != 1 {
		t.Errorf("got %q, asked %d times", got, cause.asked)
	}
}
