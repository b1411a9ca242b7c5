package main

import (
	"math"
	"slices"
)

// Measures of one run. One that a run did not take is NaN.

func rate(s sample) float64 { return per(s.Packets, s.WallNS) }
func flow(s sample) float64 { return per(s.Bytes, s.WallNS) }
func asks(s sample) float64 { return per(s.Requests, s.WallNS) }
func each(s sample) float64 { return per(s.WallNS, s.Packets) } // time
func cpu(s sample) float64  { return per(s.UserNS+s.SysNS, s.Packets) }
func p50(s sample) float64  { return per(s.P50NS, 1) }
func p90(s sample) float64  { return per(s.P90NS, 1) }
func p99(s sample) float64  { return per(s.P99NS, 1) }

func callsEach(s sample) float64 { return per(s.Calls, s.Packets) }
func memory(s sample) float64    { return per(s.RSSKB, 1000) } // in MB

func switches(s sample) float64 { return per(s.Switches, s.Packets) }
func size(s sample) float64     { return per(s.Bytes, s.Packets) }

// allocations is a mean, of which a program's start-up and end take a little; so
// it is rounded to what shows in a table.
func allocations(s sample) float64 { return math.Round(100*per(s.Mallocs, s.Packets)) / 100 }

// lost is in percent of what was sent.
func lost(s sample) float64 { return 100 - 100*per(s.Packets, s.Sent) }

func per(a, b int64) float64 {
	if a == 0 || b == 0 {
		return math.NaN()
	}
	return float64(a) / float64(b)
}

// A spread is what the rounds gave.
type spread struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
	Max    float64 `json:"max"`
}

func spreadOf(values []float64) spread {
	v := slices.Sorted(slices.Values(values))
	n := len(v)
	return spread{Median: (v[(n-1)/2] + v[n/2]) / 2, Min: v[0], Max: v[n-1]}
}
