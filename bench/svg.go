package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
)

// A drawing is an SVG picture being drawn. Its background is transparent and its
// colours follow the reader's choice of light or dark.
type drawing struct {
	b bytes.Buffer
}

const style = `
text { font: 13px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.head { font-weight: 600 }
.soft { fill: #59636e }
.grid { stroke: #d1d9e0 }
.c0 { fill: #0969da; stroke: #0969da }
.c1 { fill: #bc4c00; stroke: #bc4c00 }
.c2 { fill: #818b98; stroke: #818b98 }
.c3 { fill: #1a7f37; stroke: #1a7f37 }
@media (prefers-color-scheme: dark) {
	text { fill: #f0f6fc }
	.soft { fill: #9198a1 }
	.grid { stroke: #3d444d }
	.c0 { fill: #4493f8; stroke: #4493f8 }
	.c1 { fill: #f0883e; stroke: #f0883e }
	.c2 { fill: #9198a1; stroke: #9198a1 }
	.c3 { fill: #3fb950; stroke: #3fb950 }
}
.line { fill: none; stroke-width: 2 }
.band { stroke: none; fill-opacity: 0.15 }
`

func newDrawing(width, height int, title string) *drawing {
	d := &drawing{}
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img">`,
		width, height, width, height)
	fmt.Fprintf(&d.b, "\n<title>%s</title>\n<style>%s</style>\n", escape(title), style)
	return d
}

// text writes s with its anchor (start, middle or end) at x, y.
func (d *drawing) text(x, y float64, class, anchor, s string) {
	fmt.Fprintf(&d.b, `<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", class, x, y, anchor, escape(s))
}

func (d *drawing) rect(x, y, width, height float64, class string) {
	fmt.Fprintf(&d.b, `<rect class="%s" x="%.1f" y="%.1f" width="%.1f" height="%.1f" stroke="none" rx="2"/>`+"\n",
		class, x, y, width, height)
}

func (d *drawing) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&d.b, `<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", class, x1, y1, x2, y2)
}

// A spot is a place in the picture.
type spot struct{ x, y float64 }

// polyline connects the spots, polygon fills what they enclose.
func (d *drawing) polyline(class string, spots []spot) { d.shape("polyline", class, spots) }
func (d *drawing) polygon(class string, spots []spot)  { d.shape("polygon", class, spots) }

func (d *drawing) shape(element, class string, spots []spot) {
	fmt.Fprintf(&d.b, `<%s class="%s" points="`, element, class)
	for _, s := range spots {
		fmt.Fprintf(&d.b, "%.1f,%.1f ", s.x, s.y)
	}
	d.b.WriteString("\"/>\n")
}

// bytes ends the picture.
func (d *drawing) bytes() []byte {
	d.b.WriteString("</svg>\n")
	return d.b.Bytes()
}

func escape(s string) string {
	var b bytes.Buffer
	xml.EscapeText(&b, []byte(s)) // a bytes.Buffer has no errors
	return b.String()
}
