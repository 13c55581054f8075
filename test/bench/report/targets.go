package report

import (
	"fmt"
	"math"

	"sluice.io/sluice/test/bench/control"
)

// targets compares what was measured with what was wanted.
func targets(r *Results) *Table {
	t := &Table{Title: "Targets", Header: []string{"figure", "target", "measured (middle half of the rounds)", ""}}
	row := func(figure string, most float64, measured ratio, unit string) {
		if math.IsNaN(measured.Median) {
			return
		}
		verdict := "met"
		if measured.Median > most {
			verdict = "missed"
		}
		t.Rows = append(t.Rows, []string{figure, fmt.Sprintf("at most %g%s", most, unit), measured.spread(), verdict})
	}
	compare := func(a, b string, m measure) ratio { return ratios(series(r.DataPath, a, m), series(r.DataPath, b, m)) }
	row("connect p50, Sluice L4 with 10,000 services, to direct", 1.05, compare("sluice-l4-10000", "direct", connectP50), "")
	row("request p50, Sluice L7, to Envoy by hand", 1.10, compare("sluice-l7", "envoy-plain", requestP50), "")
	row("CPU per request, Sluice L7, to two sidecars", 0.45, compare("sluice-l7", "sidecars", requestCPU), "")
	for _, layout := range []control.Layout{control.FilePerRoute, control.OneFile} {
		few, many := control.Case{Layout: layout, Routes: 100}, control.Case{Layout: layout, Routes: 5000}
		times, of := editTimes(r.Control, many), editTimes(r.Control, few)
		base := median(of)
		row(fmt.Sprintf("edit among 5,000 (%s), p50, ms", layout), 50,
			ratio{median(times), quantile(times, .25), quantile(times, .75)}, " ms")
		row(fmt.Sprintf("edit among 5,000 (%s), p50, to 100 routes", layout), 1.5,
			ratio{median(times) / base, quantile(times, .25) / base, quantile(times, .75) / base}, "")
		both := func(s *control.Sample) float64 { return s.SluiceCPU + s.EnvoyCPU }
		row(fmt.Sprintf("CPU per edit among 5,000 (%s), to 100 routes", layout), 1.5,
			ratios(passes(r.Control, many, both), passes(r.Control, few, both)), "")
	}
	return t
}
