package main

import "fmt"

// A bar is the rate of an entry, in multiples of the C library's.
type bar struct {
	name  string
	value float64
}

// A group is the bars of one contest.
type group struct {
	title string
	bars  []bar
}

// charted are the contests in the chart, and what 1 is in each.
var charted = []struct{ contest, unit string }{
	{accept64, library}, {accept1400, library}, {marks, library}, {rewrite, library}, {log1, logs}, {log64, logs},
}

// groups takes the bars out of the results. Contests without a C library to
// compare with are left out.
func groups(r *results) []group {
	var gs []group
	for _, c := range charted {
		for _, o := range r.Contests {
			if o.Contest != c.contest || !o.has(c.unit) {
				continue
			}
			g := group{title: o.Contest}
			for _, e := range o.Entries {
				if o.has(e) {
					v := o.values(func(r round) float64 { return rate(r[e]) / rate(r[c.unit]) })
					g.bars = append(g.bars, bar{e, spreadOf(v).Median})
				}
			}
			gs = append(gs, g)
		}
	}
	return gs
}

// Measures of the chart, in pixels.
const (
	chartWidth = 720
	chartHead  = 56 // height of the heading
	labelWidth = 160
	barWidth   = 480 // of the longest
	barHeight  = 16
	barStep    = 21
	groupGap   = 34
)

// drawChart draws all groups below each other, on one scale.
func drawChart(r *results) []byte {
	gs := groups(r)
	height, longest := chartHead, 1.0
	for _, g := range gs {
		height += groupGap + barStep*len(g.bars)
		for _, b := range g.bars {
			longest = max(longest, b.value)
		}
	}
	d := newDrawing(chartWidth, height, "Packets a second, in multiples of the C library's")
	d.text(0, 16, "head", "start", "Packets a second, in multiples of the C library's")
	d.text(0, 34, "soft", "start", r.Machine)
	d.text(0, 52, "soft", "start", fmt.Sprintf("Median of %d rounds, taken in turn in one run", r.Rounds))
	y := float64(chartHead)
	for _, g := range gs {
		d.text(0, y+22, "head", "start", g.title)
		y += groupGap
		for _, b := range g.bars {
			d.bar(y, b, barWidth/longest)
			y += barStep
		}
	}
	return d.bytes()
}

// bar draws one bar with its name before and its value behind it.
func (d *drawing) bar(y float64, b bar, scale float64) {
	class, weight := "c2", "soft"
	if b.name == ours {
		class, weight = "c0", "head"
	}
	d.text(labelWidth-8, y+barHeight-3, weight, "end", b.name)
	d.rect(labelWidth, y, b.value*scale, barHeight, class)
	d.text(labelWidth+b.value*scale+6, y+barHeight-3, weight, "start", fmt.Sprintf("%.2f", b.value))
}
