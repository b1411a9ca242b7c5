package main

import (
	"fmt"
	"slices"
	"strconv"
)

// A study shows how a cost grows: the same contest at several points.
type study struct {
	name   string
	xLabel string
	yLabel string
	of     func(sample) float64 // what it shows
	log    bool                 // on logarithmic axes
	points []point
}

type point struct {
	x       int
	contest contest
}

// A curve is what one entry of a study gave, in units of what the first entry
// gave at the first point.
type curve struct {
	Name   string    `json:"name"`
	X      []int     `json:"x"`
	Y      []float64 `json:"y"`
	Low    []float64 `json:"low"`
	High   []float64 `json:"high"`
	Absent string    `json:"absent,omitempty"`
}

// A panel is a study with its results.
type panel struct {
	Name   string  `json:"name"`
	XLabel string  `json:"x_label"`
	YLabel string  `json:"y_label"`
	Log    bool    `json:"logarithmic"`
	Curves []curve `json:"curves"`
}

// xs returns the points of all curves.
func (p panel) xs() []int {
	var xs []int
	for _, c := range p.Curves {
		xs = append(xs, c.X...)
	}
	slices.Sort(xs)
	return slices.Compact(xs)
}

// Names of the entries that decide on packets that wait.
const (
	oursOldest  = "nfpacket, oldest first"
	oursNewest  = "nfpacket, newest first"
	orderOldest = "C, oldest first"
	orderNewest = "C, newest first"
)

// studies returns those of a full run, or of a short one.
func studies(s scale, small bool) []study {
	queues, sizes, depths := []int{1, 2, 3, 4, 5, 6, 7, 8}, []int{64, 256, 1024, 4096, 16384, 65000}, []int{64, 1000, 10000, 30000, 60000}
	if small {
		queues, sizes, depths = []int{1, 2}, []int{64, 16384}, []int{64, 1000}
	}
	return []study{queueStudy(s, queues), sizeStudy(s, sizes), waitingStudy(depths)}
}

func queueStudy(s scale, queues []int) study {
	st := study{name: "growth: queues", xLabel: "queues", yLabel: "packets a second", of: rate}
	for _, n := range queues {
		st.points = append(st.points, point{n, contest{run: drain(s.packets, 64), entries: []entry{
			{name: ours, program: "queue", queues: n},
			{name: floor, program: "floor", queues: n},
		}}})
	}
	return st
}

func sizeStudy(s scale, sizes []int) study {
	st := study{name: "growth: packet size", xLabel: "bytes a packet", yLabel: "time a packet", of: each, log: true}
	for _, n := range sizes {
		st.points = append(st.points, point{n, contest{run: drain(s.packets, n), entries: []entry{
			{name: ours, program: "queue"},
			{name: library, program: "libqueue"},
			{name: floor, program: "floor"},
		}}})
	}
	return st
}

func waitingStudy(depths []int) study {
	st := study{name: "growth: packets waiting", xLabel: "packets waiting", yLabel: "time a verdict", of: each, log: true}
	for _, n := range depths {
		st.points = append(st.points, point{n, contest{run: decide(n), entries: []entry{
			{name: oursOldest, program: "queue"},
			{name: oursNewest, program: "queue", args: []string{"-order", "newest"}},
			{name: orderOldest, program: "order"},
			{name: orderNewest, program: "order", args: []string{"-order", "newest"}},
		}}})
	}
	return st
}

// warmup is how many verdicts the programs give before those that are measured,
// and sampled how many are measured at most: with many packets waiting, one
// verdict may take the kernel a millisecond. With fewer than 64 there is too
// little to be measured.
const (
	warmup  = 64
	sampled = 1000
)

// decide lets packets wait and then has some of them decided.
func decide(waiting int) func(*harness, entry) (sample, error) {
	return func(h *harness, e entry) (s sample, err error) {
		n := min(waiting, sampled)
		e.args = append([]string{"-sample", strconv.Itoa(n)}, e.args...)
		p, err := launch(h.command(e, waiting+warmup)...)
		if err != nil {
			return s, err
		}
		defer p.end()
		if err := h.site.fill(ports(1), waiting+warmup, 64); err != nil {
			return s, err
		}
		if err := p.release(); err != nil {
			return s, err
		}
		if s.Result, err = p.result(); err != nil {
			return s, err
		}
		return check(s, n)
	}
}

// holdStudy runs a study's contests and returns its panel.
func (h *harness) holdStudy(s study) (f panel, failed bool) {
	f = panel{Name: s.name, XLabel: s.xLabel, YLabel: s.yLabel, Log: s.log}
	for _, e := range s.points[0].contest.entries {
		f.Curves = append(f.Curves, curve{Name: e.name})
	}
	unit := 0.0
	for _, p := range s.points {
		p.contest.name = fmt.Sprintf("%s, %d", s.name, p.x)
		o := h.hold(p.contest)
		failed = failed || o.failed
		for i := range f.Curves {
			c := &f.Curves[i]
			if !o.has(c.Name) {
				c.Absent = o.why([]string{c.Name})
				continue
			}
			v := spreadOf(o.values(func(r round) float64 { return s.of(r[c.Name]) }))
			if unit == 0 {
				unit = v.Median
			}
			c.X = append(c.X, p.x)
			c.Y = append(c.Y, v.Median/unit)
			c.Low, c.High = append(c.Low, v.Min/unit), append(c.High, v.Max/unit)
		}
	}
	return f, failed
}
