package main

import (
	"fmt"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

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

// Sizes of the chart.
const (
	chartWidth = 540 * pt
	chartHead  = 44 * pt
	groupHead  = 24 * pt // the title of a group
	barStep    = 17 * pt
	barHeight  = 12 * pt
	barNames   = 130 * pt
)

// drawChart draws the groups below each other, all on one scale, as SVG.
func drawChart(r *results) ([]byte, error) {
	gs := groups(r)
	height, longest := chartHead, 1.0
	for _, g := range gs {
		height += g.height()
		for _, b := range g.bars {
			longest = max(longest, b.value)
		}
	}
	pic := newPicture(chartWidth, height)
	pic.text(0, "Packets a second, in multiples of the C library's", true)
	pic.text(16, r.Machine, false)
	pic.text(29, fmt.Sprintf("Median of %d rounds, interleaved in one run", r.Rounds), false)
	top := chartHead
	for _, g := range gs {
		p, err := g.plot(longest * 1.1)
		if err != nil {
			return nil, err
		}
		p.Draw(pic.part(top, top+g.height(), g.indent()))
		top += g.height()
	}
	return pic.svg()
}

func (g group) height() vg.Length { return groupHead + barStep*vg.Length(len(g.bars)) }

// indent is how far the plot moves to the right, so that the axes of all groups
// begin below each other although their names differ in length.
func (g group) indent() vg.Length {
	longest := vg.Length(0)
	for _, b := range g.bars {
		longest = max(longest, small(plot.New().Y.Tick.Label).Width(b.name))
	}
	return max(0, barNames-longest)
}

// plot returns the bars of one contest on a scale up to limit, the first on top.
func (g group) plot(limit float64) (*plot.Plot, error) {
	p := newPlot(g.title)
	p.X.Min, p.X.Max = 0, limit
	bars := slices.Clone(g.bars)
	slices.Reverse(bars)
	names := make([]string, len(bars))
	var values plotter.XYLabels
	for i, b := range bars {
		c, err := plotter.NewBarChart(plotter.Values{b.value}, barHeight)
		if err != nil {
			return nil, err
		}
		c.Horizontal, c.XMin, c.LineStyle.Width, c.Color = true, float64(i), 0, colour(b.name, 3)
		p.Add(c)
		names[i] = b.name
		values.XYs = append(values.XYs, plotter.XY{X: b.value, Y: float64(i)})
		values.Labels = append(values.Labels, fmt.Sprintf(" %.2f", b.value))
	}
	labels, err := plotter.NewLabels(values)
	if err != nil {
		return nil, err
	}
	for i := range labels.TextStyle {
		labels.TextStyle[i] = small(labels.TextStyle[i])
		labels.TextStyle[i].YAlign = draw.YCenter
	}
	p.Add(labels)
	p.NominalY(names...)
	p.HideX()
	p.Y.Padding = 12 * pt // where names are drawn in a wider font
	p.Y.Min, p.Y.Max = -0.6, float64(len(bars))-0.4
	return p, nil
}
