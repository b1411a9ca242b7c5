package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// growing returns a footprint that grows with time.
func growing(f footprint) func(time.Duration) footprint {
	return func(passed time.Duration) footprint {
		minutes := passed.Minutes()
		return footprint{
			resident:    100<<20 + int(minutes*float64(f.resident)),
			descriptors: 10 + int(minutes*float64(f.descriptors)),
			goroutines:  10 + int(minutes*float64(f.goroutines)),
		}
	}
}

// Whatever grows is found, however short the soak, as long as it is as usual.
func TestGrowthFailsTheSoak(t *testing.T) {
	for name, c := range map[string]struct {
		length time.Duration
		minute footprint // by which it grows
		want   bool
	}{
		"nothing":                  {30 * time.Minute, footprint{}, false},
		"memory":                   {time.Minute, footprint{resident: 16 << 20}, true},
		"descriptors":              {time.Minute, footprint{descriptors: 20}, true},
		"goroutines":               {time.Minute, footprint{goroutines: 20}, true},
		"memory, slowly":           {30 * time.Minute, footprint{resident: 1 << 20}, true},
		"what may come and go":     {time.Minute, footprint{1 << 20, 0, 1, 1}, false},
		"descriptors in 5 seconds": {5 * time.Second, footprint{descriptors: 240}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				err := watch(context.Background(), c.length, usual(c.length), growing(c.minute))
				if (err != nil) != c.want {
					t.Errorf("got %v, want an error: %v", err, c.want)
				}
			})
		})
	}
}
