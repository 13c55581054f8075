package report

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"sluice.io/sluice/test/bench/control"
	"sluice.io/sluice/test/bench/datapath"
)

// plot is a picture, and which of the tables it draws.
type plot struct {
	file, title string
	table       int
	svg         []byte
}

// plots draws what there are figures for.
func (r *Results) plots() []plot {
	var all []plot
	add := func(file, title string, table int, svg []byte) {
		if svg != nil {
			all = append(all, plot{file, title, table, svg})
		}
	}
	const latency, cost, edits = 1, 2, 3
	title := "Time of connect(), as a multiple of direct (less is better)"
	add("bench-connect.svg", title, latency, r.bars(title, connectP50, false, 1.05))
	title = "Latency of a request through Envoy, as a multiple of direct (less is better)"
	add("bench-latency.svg", title, latency, r.bars(title, requestP50, true, 0))
	title = "CPU time of a request, as a multiple of direct (less is better)"
	add("bench-cpu.svg", title, cost, r.bars(title, requestCPU, true, 0))
	title = "From a changed file to changed traffic, median"
	add("bench-edit.svg", title, edits, r.curves(title))
	return all
}

type barRow struct {
	label string
	ours  bool
	value float64
}

// bars draws one bar for each subject of a layer; limit is where a target ends,
// or zero.
func (r *Results) bars(title string, m measure, l7 bool, limit float64) []byte {
	var rows []barRow
	widest := limit
	for _, s := range datapath.Subjects {
		of := ratios(series(r.DataPath, s.Name, m), series(r.DataPath, datapath.Subjects[0].Name, m)).Median
		if s.L7 != l7 || math.IsNaN(of) {
			continue
		}
		rows = append(rows, barRow{s.Label, strings.HasPrefix(s.Name, "sluice"), of})
		widest = max(widest, of)
	}
	if len(rows) == 0 {
		return nil
	}
	const left, right, top, step = 250, 70, 46, 30
	c := newCanvas(title, 760, top+step*float64(len(rows))+24)
	x := func(v float64) float64 { return left + v/widest*(c.width-left-right) }
	c.line(left, top, left, c.height-24, "axis")
	c.line(x(1), top, x(1), c.height-24, "axis")
	for i, row := range rows {
		y := top + step*float64(i)
		class := "other"
		if row.ours {
			class = "ours"
		}
		c.text(left-10, y+18, "", "end", row.label)
		c.bar(left, y+5, x(row.value)-left, step-10, class)
		c.text(c.width-16, y+18, "", "end", fmt.Sprintf("%.2f", row.value))
	}
	if limit > 0 {
		c.line(x(limit), top, x(limit), c.height-24, "limit")
		c.text(x(limit), c.height-8, "limit-text", "middle", fmt.Sprintf("target %.2f", limit))
	}
	return c.bytes()
}

// curves draws the time of an edit over the number of routes, for both layouts.
func (r *Results) curves(title string) []byte {
	var all []curve
	for _, layout := range []control.Layout{control.FilePerRoute, control.OneFile} {
		one := curve{label: string(layout), class: map[control.Layout]string{control.FilePerRoute: "ours", control.OneFile: "second"}[layout]}
		for _, k := range cases(r.Control) {
			if k.Layout == layout {
				one.points = append(one.points, [2]float64{float64(k.Routes), median(editTimes(r.Control, k))})
			}
		}
		all = append(all, one)
	}
	return curvesOverRoutes(title, 50, all)
}

// curve is a line through points of a number of routes and milliseconds.
type curve struct {
	label, class string
	points       [][2]float64
}

// curvesOverRoutes draws times over numbers of routes, with a target; nothing
// when there are no points.
func curvesOverRoutes(title string, target float64, curves []curve) []byte {
	const left, right, top, bottom = 70, 150, 50, 50
	c := newCanvas(title, 760, 340)
	least, most, highest := math.Inf(1), 0.0, 1.2*target
	var routes []float64
	for _, one := range curves {
		for _, p := range one.points {
			least, most, highest = min(least, p[0]), max(most, p[0]), max(highest, p[1])
			if !slices.Contains(routes, p[0]) {
				routes = append(routes, p[0])
			}
		}
	}
	if len(routes) == 0 {
		return nil
	}
	x := func(routes float64) float64 {
		if most == least {
			return left
		}
		return left + math.Log(routes/least)/math.Log(most/least)*(c.width-left-right)
	}
	// Time on a logarithmic scale from one millisecond.
	y := func(ms float64) float64 {
		return c.height - bottom - math.Log10(max(1, ms))/math.Log10(highest)*(c.height-top-bottom)
	}
	for _, tick := range []float64{1, 10, 100, 1000, 10000} {
		if tick <= highest {
			c.line(left, y(tick), c.width-right, y(tick), "axis")
			c.text(left-8, y(tick)+4, "small", "end", fmt.Sprintf("%.0f ms", tick))
		}
	}
	c.line(left, y(target), c.width-right, y(target), "limit")
	c.text(left+6, y(target)-6, "limit-text", "start", fmt.Sprintf("target %.0f ms", target))
	for _, n := range routes {
		c.text(x(n), c.height-bottom+20, "small", "middle", fmt.Sprint(n))
	}
	c.draw(curves, x, y)
	c.text((left+c.width-right)/2, c.height-10, "small", "middle", "HTTPRoutes")
	return c.bytes()
}

// draw draws curves, with their labels behind their ends.
func (c *canvas) draw(curves []curve, x, y func(float64) float64) {
	var last float64 // where the label before stands
	for _, one := range curves {
		if len(one.points) == 0 {
			continue
		}
		var points [][2]float64
		for _, p := range one.points {
			points = append(points, [2]float64{x(p[0]), y(p[1])})
		}
		c.curve(points, one.class)
		end := points[len(points)-1]
		label := end[1] + 4
		if math.Abs(label-last) < 16 {
			label = last + 16
		}
		last = label
		c.text(end[0]+12, label, "", "start", one.label)
	}
}
