package main

import (
	"bytes"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// pt is a point, of which a picture has 1.25 pixels.
const pt vg.Length = 1

// A picture is an SVG with several plots below each other.
type picture struct {
	canvas *vgsvg.Canvas
	area   draw.Canvas
}

// newPicture returns an empty picture. Its background is white, so that it can be
// read on a dark page too.
func newPicture(width, height vg.Length) picture {
	c := vgsvg.New(width, height)
	p := picture{c, draw.New(c)}
	p.area.FillPolygon(color.White, []vg.Point{{}, {Y: height}, {X: width, Y: height}, {X: width}})
	return p
}

// part returns the stripe from top to bottom, both counted from the upper edge.
func (p picture) part(top, bottom, indent vg.Length) draw.Canvas {
	return draw.Crop(p.area, indent, 0, p.area.Max.Y-bottom, -top)
}

// text writes a line of the heading, top below the upper edge.
func (p picture) text(top vg.Length, s string, bold bool) {
	style := small(plot.New().Title.TextStyle)
	style.XAlign, style.YAlign = draw.XLeft, draw.YTop
	if bold {
		style.Font = sans(11)
	}
	p.area.FillText(style, vg.Point{X: 4, Y: p.area.Max.Y - 3 - top}, s)
}

// svg returns the bytes of the picture.
func (p picture) svg() ([]byte, error) {
	var b bytes.Buffer
	_, err := p.canvas.WriteTo(&b)
	return b.Bytes(), err
}

// newPlot returns a plot in the style of all of them.
func newPlot(title string) *plot.Plot {
	p := plot.New()
	p.Title.Text = title
	p.Title.TextStyle.Font = sans(10)
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Tick.Label = small(a.Tick.Label)
		a.Label.TextStyle = small(a.Label.TextStyle)
	}
	return p
}

// small returns a style in the size of what stands beside bars and axes.
func small(s text.Style) text.Style {
	s.Font = sans(8.5)
	return s
}

func sans(size font.Length) font.Font {
	return font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size)
}

// palette are colours that people with any colour vision tell apart (Okabe, Ito).
var palette = []color.NRGBA{{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {130, 130, 130, 255}}

// colour returns the colour of an entry: the same program has the same everywhere,
// and others that with the number i.
func colour(name string, i int) color.NRGBA {
	switch name {
	case ours:
		return palette[0]
	case library, logs:
		return palette[1]
	case floor:
		return palette[2]
	}
	return palette[i%len(palette)]
}
