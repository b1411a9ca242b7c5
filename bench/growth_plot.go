package main

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
)

// Sizes of the plot of growth.
const (
	plotWidth   = 540 * pt
	panelHeight = 230 * pt
)

// drawPlot draws the panels below each other as SVG.
func drawPlot(panels []panel) ([]byte, error) {
	pic := newPicture(plotWidth, panelHeight*vg.Length(max(len(panels), 1)))
	for i, p := range panels {
		drawn, err := p.plot()
		if err != nil {
			return nil, err
		}
		drawn.Draw(pic.part(panelHeight*vg.Length(i), panelHeight*vg.Length(i+1), 0))
	}
	return pic.svg()
}

// plot returns one study: for each entry the medians as a line, on a band from
// the least to the most.
func (p panel) plot() (*plot.Plot, error) {
	d := newPlot(p.YLabel + " by " + p.XLabel)
	d.X.Label.Text = p.XLabel
	d.Legend.Top, d.Legend.Left = true, true
	d.Legend.TextStyle = small(d.Legend.TextStyle)
	measured := false
	for i, c := range p.Curves {
		if len(c.X) == 0 {
			d.Legend.Add(c.Name + " (not measured)")
			continue
		}
		if err := c.addTo(d, colour(c.Name, i)); err != nil {
			return nil, err
		}
		measured = true
	}
	if p.Log && measured {
		d.X.Scale, d.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
		d.Y.Scale, d.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	} else {
		d.Y.Min = 0
	}
	if measured {
		d.Y.Label.Text = "1 is " + p.Curves[0].Name + " at the left end"
	}
	return d, nil
}

// addTo draws the curve.
func (c curve) addTo(d *plot.Plot, colour color.NRGBA) error {
	var middle, band plotter.XYs
	for i, x := range c.X {
		middle = append(middle, plotter.XY{X: float64(x), Y: c.Y[i]})
		band = append(band, plotter.XY{X: float64(x), Y: c.Low[i]})
	}
	for i := len(c.X) - 1; i >= 0; i-- {
		band = append(band, plotter.XY{X: float64(c.X[i]), Y: c.High[i]})
	}
	area, err := plotter.NewPolygon(band)
	if err != nil {
		return err
	}
	pale := colour
	pale.A = 0x28
	area.Color, area.LineStyle.Width = pale, 0
	line, err := plotter.NewLine(middle)
	if err != nil {
		return err
	}
	line.Color, line.Width = colour, 1.5
	d.Add(area, line)
	d.Legend.Add(c.Name, line)
	return nil
}
