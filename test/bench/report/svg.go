package report

import (
	"bytes"
	"fmt"
	"html"
)

// canvas collects the shapes of an SVG picture.
type canvas struct {
	width, height float64
	shapes        bytes.Buffer
}

// style gives the picture its colours, on light and on dark pages.
const style = `
text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.title { font-size: 15px; font-weight: 600 }
.small { font-size: 12px; fill: #59636e }
.ours { fill: #0969da; stroke: #0969da } .other { fill: #9aa4ae; stroke: #9aa4ae } .second { fill: #bc4c00; stroke: #bc4c00 }
.axis { stroke: #d1d9e0; stroke-width: 1 } .limit { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 5 4 }
.limit-text { fill: #cf222e; font-size: 12px } .curve { fill: none; stroke-width: 2.5 } .bar { stroke: none }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .small { fill: #9198a1 } .axis { stroke: #3d444d }
.ours { fill: #4493f8; stroke: #4493f8 } .other { fill: #656c76; stroke: #656c76 } .second { fill: #db6d28; stroke: #db6d28 }
.limit { stroke: #f85149 } .limit-text { fill: #f85149 } .curve { fill: none } .bar { stroke: none }
}
`

func newCanvas(title string, width, height float64) *canvas {
	c := &canvas{width: width, height: height}
	c.text(16, 26, "title", "start", title)
	return c
}

func (c *canvas) text(x, y float64, class, anchor, text string) {
	fmt.Fprintf(&c.shapes, "<text x=\"%.1f\" y=\"%.1f\" class=\"%s\" text-anchor=\"%s\">%s</text>\n", x, y, class, anchor, html.EscapeString(text))
}

func (c *canvas) bar(x, y, width, height float64, class string) {
	fmt.Fprintf(&c.shapes, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" rx=\"2\" class=\"%s bar\"/>\n", x, y, width, height, class)
}

func (c *canvas) line(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(&c.shapes, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" class=\"%s\"/>\n", x1, y1, x2, y2, class)
}

func (c *canvas) dot(x, y float64, class string) {
	fmt.Fprintf(&c.shapes, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" class=\"%s\"/>\n", x, y, class)
}

// curve joins points by straight lines.
func (c *canvas) curve(points [][2]float64, class string) {
	fmt.Fprint(&c.shapes, "<polyline points=\"")
	for _, p := range points {
		fmt.Fprintf(&c.shapes, "%.1f,%.1f ", p[0], p[1])
	}
	fmt.Fprintf(&c.shapes, "\" class=\"%s curve\"/>\n", class)
	for _, p := range points {
		c.dot(p[0], p[1], class)
	}
}

func (c *canvas) bytes() []byte {
	return fmt.Appendf(nil, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" height=\"%.0f\" role=\"img\">\n<style>%s</style>\n%s</svg>\n",
		c.width, c.height, c.width, c.height, style, c.shapes.Bytes())
}
