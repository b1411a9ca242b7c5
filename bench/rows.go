package main

import (
	"fmt"
	"slices"
)

// A row is one line of the table of goals: a ratio of two entries of one round,
// or a figure of one entry, taken in every round.
type row struct {
	contest string
	what    string // is measured
	against string // what, or "" for a figure
	goal    goal
	needs   []string // entries
	value   func(round) float64
}

// A goal is a bound on a value.
type goal struct {
	atLeast, atMost *float64
	unit            string
}

func atLeast(v float64) goal { return goal{atLeast: &v} }

func atMost(v float64, unit string) goal { return goal{atMost: &v, unit: unit} }

// String returns the goal as tables have it.
func (g goal) String() string {
	switch {
	case g.atLeast != nil:
		return "≥ " + g.format(*g.atLeast)
	case g.atMost != nil:
		return "≤ " + g.format(*g.atMost)
	}
	return ""
}

func (g goal) format(v float64) string { return fmt.Sprintf("%.2f%s", v, g.unit) }

// met reports whether v is as good as the goal.
func (g goal) met(v float64) bool {
	return (g.atLeast == nil || v >= *g.atLeast) && (g.atMost == nil || v <= *g.atMost)
}

// rows returns the goals of the project.
func rows() []row {
	return slices.Concat(drainRows(), tripRows(), costRows(), liveRows())
}

// drainRows are about queues and logs that are full when the program starts.
func drainRows() []row {
	return []row{
		faster(accept64, ranges, floor, atLeast(0.95)),
		faster(accept1400, ranges, floor, atLeast(0.95)),
		faster(accept64, ours, single, atLeast(0.97)),
		faster(accept64, ours, library, atLeast(1.5)),
		faster(accept1400, ours, library, atLeast(1.5)),
		faster(accept64, ours, other, goal{}),
		faster(marks, ours, single, atLeast(0.95)),
		faster(rewrite, ours, single, atLeast(0.95)),
		faster(rewriteRaw, ours, single, atLeast(0.95)),
		faster(log1, ours, logs, atLeast(1.1)),
		faster(log64, ours, logs, atLeast(1.0)),
		faster(log64, ours, otherLog, goal{}),
		faster(twoQueues, ours+twoQueue, ours+oneQueue, atLeast(1.85)),
		faster(twoQueues, floor+twoQueue, floor+oneQueue, goal{}),
	}
}

// tripRows are about packets that come one at a time.
func tripRows() []row {
	return []row{
		added(roundTrip, ours, library, atMost(1.25, "")),
		trip(roundTrip, "p90", ours, library, atMost(1.15, ""), p90),
		trip(roundTrip, "p99", ours, library, atMost(1.15, ""), p99),
		trip(roundTrip, "p50", busy, bare, goal{}, p50),
		trip(roundTrip, "p50", busy, library, atMost(1, ""), p50),
		added(tripApart, ours, library, atMost(1.25, "")),
		trip(tripApart, "p90", ours, library, atMost(1.15, ""), p90),
		trip(tripApart, "p99", ours, library, atMost(1.15, ""), p99),
		trip(tripApart, "p50", busy, library, atMost(1, ""), p50),
		figure(callsOne, "system calls a packet, one of them to wait", atMost(3, ""), callsEach),
	}
}

// costRows are about what a packet costs the machine.
func costRows() []row {
	return []row{
		cheaper(accept64, ours, floor, atMost(1.1, "")),
		cheaper(accept1400, ours, floor, atMost(1.1, "")),
		figure(accept64, "allocations a packet", atMost(0, ""), allocations),
		figure(marks, "allocations a packet", atMost(0, ""), allocations),
		figure(rewrite, "allocations a packet", atMost(0, ""), allocations),
		figure(log64, "allocations a packet", atMost(0, ""), allocations),
		figure(accept64, "resident memory", atMost(12, " MB"), memory),
		figure(accept1400, "resident memory", atMost(12, " MB"), memory),
		figure(calls, "system calls a packet", goal{}, callsEach),
	}
}

// liveRows are about traffic whose rate does not depend on the program alone.
func liveRows() []row {
	return []row{
		faster(flooded, ours, library, goal{}),
		figure(flooded, "lost", goal{unit: " %"}, lost),
		cheaper(flooded, ours, library, atMost(0.9, "")),
		carried(tcp, ours, library, goal{}),
		carried(tcp, ours, bare, goal{}),
		carried(routed, ours, library, atLeast(1.15)),
		carried(routed, ours, bare, atLeast(0.75)),
		carried(routed, ours+twoQueue, ours, atLeast(1)),
		carried(routed, ours+once, bare, atLeast(0.9)),
		carried(routed128, ours, library, atLeast(1.15)),
		carried(routed128, ours+twoQueue, ours, atLeast(1)),
		answered(webKept, ours, library, atLeast(1.15)),
		answered(webKept, ours+twoQueue, ours, atLeast(1)),
		answered(webOnce, ours, library, atLeast(1.15)),
		answered(webOnce, ours+twoQueue, ours, atLeast(1)),
		cheaper(routed, ours, library, atMost(0.95, "")),
		cheaper(routed128, ours, library, atMost(0.95, "")),
		cheaper(webKept, ours, library, atMost(0.95, "")),
		cheaper(webOnce, ours, library, atMost(0.95, "")),
		faster(joined, ours, other, atLeast(1.1)),
		faster(joined, ours+oneProc, other, goal{}),
	}
}

// faster compares packets decided in the same time.
func faster(contest, who, against string, g goal) row {
	return row{contest, who + ": packets a second", against, g, []string{who, against}, func(r round) float64 {
		return rate(r[who]) / rate(r[against])
	}}
}

// cheaper compares CPU time, the kernel's and the program's.
func cheaper(contest, who, against string, g goal) row {
	return row{contest, who + ": CPU time a packet", against, g, []string{who, against}, func(r round) float64 {
		return cpu(r[who]) / cpu(r[against])
	}}
}

// added compares what the median round trip has gained.
func added(contest, who, against string, g goal) row {
	return row{contest, who + ": time added at p50", against, g, []string{bare, who, against}, func(r round) float64 {
		return (p50(r[who]) - p50(r[bare])) / (p50(r[against]) - p50(r[bare]))
	}}
}

// trip compares whole round trips.
func trip(contest, name, who, against string, g goal, of func(sample) float64) row {
	return row{contest, who + ": " + name, against, g, []string{who, against}, func(r round) float64 {
		return of(r[who]) / of(r[against])
	}}
}

// carried compares bytes in the same time.
func carried(contest, who, against string, g goal) row {
	return row{contest, who + ": bytes a second", against, g, []string{who, against}, func(r round) float64 {
		return flow(r[who]) / flow(r[against])
	}}
}

// answered compares requests answered in the same time.
func answered(contest, who, against string, g goal) row {
	return row{contest, who + ": requests a second", against, g, []string{who, against}, func(r round) float64 {
		return asks(r[who]) / asks(r[against])
	}}
}

// figure is of our own program alone.
func figure(contest, what string, g goal, of func(sample) float64) row {
	return row{contest, ours + ": " + what, "", g, []string{ours}, func(r round) float64 { return of(r[ours]) }}
}
