package main

import (
	"fmt"
	"math"
)

// Measures of the plot, in pixels.
const (
	plotWidth   = 720
	panelHeight = 300
	marginLeft  = 56
	marginTop   = 40
	innerWidth  = 420
	innerHeight = 200
	legendLeft  = marginLeft + innerWidth + 20
)

// drawPlot draws the panels below each other.
func drawPlot(panels []panel) []byte {
	d := newDrawing(plotWidth, panelHeight*max(len(panels), 1), "How cost grows")
	for i, p := range panels {
		d.panel(p, float64(i*panelHeight)+marginTop)
	}
	return d.bytes()
}

// An axis maps values to pixels.
type axis struct {
	low, high   float64 // values at the ends
	start, size float64 // pixels; size is negative for an axis that goes up
	log         bool
}

func (a axis) at(v float64) float64 {
	low, high := a.low, a.high
	if a.log {
		v, low, high = math.Log(v), math.Log(low), math.Log(high)
	}
	return a.start + a.size*(v-low)/(high-low)
}

// ticks returns where to label the axis: at powers of ten, or at about five
// even places.
func (a axis) ticks() []float64 {
	var t []float64
	if a.log {
		for v := math.Pow(10, math.Ceil(math.Log10(a.low)-1e-9)); v <= a.high*(1+1e-9); v *= 10 {
			t = append(t, v)
		}
		return t
	}
	step := max(1, math.Ceil((a.high-a.low)/8))
	for v := math.Ceil(a.low); v <= a.high; v += step {
		t = append(t, v)
	}
	return t
}

// axes returns those that hold all the curves.
func (p panel) axes(top float64) (x, y axis) {
	x = axis{low: math.Inf(1), high: math.Inf(-1), start: marginLeft, size: innerWidth, log: p.Log}
	y = axis{low: math.Inf(1), high: math.Inf(-1), start: top + innerHeight, size: -innerHeight, log: p.Log}
	for _, c := range p.Curves {
		for i := range c.X {
			x.low, x.high = min(x.low, float64(c.X[i])), max(x.high, float64(c.X[i]))
			y.low, y.high = min(y.low, c.Low[i]), max(y.high, c.High[i])
		}
	}
	if p.Log { // whole powers of ten
		y.low, y.high = math.Pow(10, math.Floor(math.Log10(y.low))), math.Pow(10, math.Ceil(math.Log10(y.high)))
	} else {
		y.low, y.high = 0, math.Ceil(y.high)
	}
	return x, y
}

// panel draws one study.
func (d *drawing) panel(p panel, top float64) {
	d.text(0, top-18, "head", "start", p.YLabel+" by "+p.XLabel)
	x, y := p.axes(top)
	if !(x.low < x.high && y.low < y.high) {
		d.text(marginLeft, top+20, "soft", "start", "could not be measured")
		return
	}
	for _, v := range y.ticks() {
		d.line(marginLeft, y.at(v), marginLeft+innerWidth, y.at(v), "grid")
		d.text(marginLeft-8, y.at(v)+4, "soft", "end", short(v))
	}
	for _, v := range x.ticks() {
		d.text(x.at(v), top+innerHeight+18, "soft", "middle", short(v))
	}
	d.text(marginLeft+innerWidth/2, top+innerHeight+38, "soft", "middle", p.XLabel)
	for i, c := range p.Curves {
		class := c.class(i)
		if len(c.X) > 0 {
			d.curve(c, class, x, y)
		}
		d.legend(c, class, top+float64(i)*22)
	}
	d.text(legendLeft, top+float64(len(p.Curves))*22+10, "soft", "start", "1 is "+p.Curves[0].Name)
	d.text(legendLeft, top+float64(len(p.Curves))*22+28, "soft", "start", "at the left end")
}

// class returns the colour of the i-th curve: the same program has the same in
// all panels.
func (c curve) class(i int) string {
	switch c.Name {
	case ours:
		return "c0"
	case library:
		return "c1"
	case floor:
		return "c2"
	}
	return fmt.Sprintf("c%d", i%4)
}

// curve draws the medians, over a band from the least to the most.
func (d *drawing) curve(c curve, class string, x, y axis) {
	var middle, band []spot
	for i := range c.X {
		middle = append(middle, spot{x.at(float64(c.X[i])), y.at(c.Y[i])})
		band = append(band, spot{x.at(float64(c.X[i])), y.at(c.Low[i])})
	}
	for i := len(c.X) - 1; i >= 0; i-- {
		band = append(band, spot{x.at(float64(c.X[i])), y.at(c.High[i])})
	}
	d.polygon(class+" band", band)
	d.polyline(class+" line", middle)
}

func (d *drawing) legend(c curve, class string, y float64) {
	name := c.Name
	if c.Absent != "" {
		name += " (not measured)"
	}
	d.rect(legendLeft, y, 14, 10, class)
	d.text(legendLeft+22, y+10, "", "start", name)
}

// short writes a number as axes have it.
func short(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
