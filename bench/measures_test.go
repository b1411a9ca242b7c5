package main

import (
	"math"
	"testing"

	"github.com/nfpacket/nfpacket/bench/internal/subject"
)

func TestSpread(t *testing.T) {
	for _, c := range []struct {
		values []float64
		want   spread
	}{
		{[]float64{3}, spread{3, 3, 3}},
		{[]float64{3, 1}, spread{2, 1, 3}},
		{[]float64{9, 1, 2}, spread{2, 1, 9}},
		{[]float64{4, 1, 2, 3}, spread{2.5, 1, 4}},
	} {
		if got := spreadOf(c.values); got != c.want {
			t.Errorf("spreadOf(%v) = %v, want %v", c.values, got, c.want)
		}
	}
}

func TestWhatWasNotMeasuredIsNaN(t *testing.T) {
	s := sample{Result: subject.Result{Packets: 100}}
	for _, c := range columns {
		if v := c.of(s); !math.IsNaN(v) {
			t.Errorf("%s of a sample without it is %v, want NaN", c.name, v)
		}
	}
	s.Sent = 100
	if v := lost(s); v != 0 {
		t.Errorf("all packets arrived, but %v %% are lost", v)
	}
}

func TestGoal(t *testing.T) {
	for _, c := range []struct {
		goal goal
		v    float64
		met  bool
		text string
	}{
		{atLeast(0.95), 0.95, true, "≥ 0.95"},
		{atLeast(0.95), 0.94, false, "≥ 0.95"},
		{atMost(12, " MB"), 12.1, false, "≤ 12.00 MB"},
		{goal{}, 5, true, ""},
	} {
		if c.goal.met(c.v) != c.met || c.goal.String() != c.text {
			t.Errorf("goal %q with %v: met is %v, want %v and %q", c.goal, c.v, !c.met, c.met, c.text)
		}
	}
}
