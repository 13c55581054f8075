package report

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"sluice.io/sluice/test/bench/gateways"
)

// The part of the document that is measured on a cluster stands between these lines.
const (
	clusterBegin = "<!-- measured on a cluster: begin (written by `make bench-cluster`) -->"
	clusterEnd   = "<!-- measured on a cluster: end -->"
)

// Names of products.
const (
	ours   = "sluice"
	theirs = "envoy-gateway"
)

// labels are the products' names for readers.
var labels = map[string]string{ours: "Sluice", theirs: "Envoy Gateway"}

// ClusterResults are all raw figures of a run on a cluster.
type ClusterResults struct {
	Taken   time.Time `json:"taken"`
	Took    string    `json:"took"`
	Machine Machine   `json:"machine"`
	// Quick tells that the figures mean nothing.
	Quick    bool             `json:"quick"`
	Gateways *gateways.Result `json:"gateways,omitempty"`
}

// Save writes the raw figures into a directory, and returns the file.
func (r *ClusterResults) Save(dir string) (string, error) {
	return save(r, dir, "cluster-"+r.Taken.UTC().Format(stamp))
}

// LoadCluster reads what Save wrote.
func LoadCluster(file string) (*ClusterResults, error) { return read[ClusterResults](file) }

// Text returns all tables for a terminal.
func (r *ClusterResults) Text() string { return text(r.tables()) }

// Publish writes the plot, and the part of docs/benchmarks.md measured on a cluster.
func (r *ClusterResults) Publish(docs string) error {
	m := r.Machine
	about := fmt.Sprintf("Measured %s (in %s) with Sluice %s, Envoy Gateway %s, both with Envoy %s, on Kubernetes %s,\n"+
		"two nodes on Linux %s, %d × %s, %s of memory.\n", r.Taken.UTC().Format("2006-01-02"), r.Took, m.Version, r.Gateways.EnvoyGateway, m.Envoy,
		r.Gateways.Kubernetes, m.Kernel, m.CPUs, m.CPU, m.Memory)
	return publish(docs, clusterBegin, clusterEnd, about, r.tables(), r.plots())
}

func (r *ClusterResults) tables() []*Table {
	return []*Table{r.targets(), r.propagation(), r.cost(), r.startAndMemory(), r.ratios(), r.clients(), r.failed()}
}

// cases lists the cases in the order in which they were measured.
func (r *ClusterResults) cases() []gateways.Case {
	var all []gateways.Case
	for _, s := range r.Gateways.Samples {
		if !slices.Contains(all, s.Case) {
			all = append(all, s.Case)
		}
	}
	return all
}

// passes are one product's figures of a case, one per pass that was measured to
// the end.
func (r *ClusterResults) passes(c gateways.Case, product string, f func(*gateways.Sample) float64) []float64 {
	var all []float64
	for _, s := range r.Gateways.Samples {
		if s.Case == c && s.Product == product && s.Failed == "" {
			all = append(all, f(s))
		}
	}
	return all
}

// times are the times of a kind of edit in milliseconds, of all passes.
func (r *ClusterResults) times(c gateways.Case, product string, kind gateways.Kind) []float64 {
	var all []float64
	for _, s := range r.Gateways.Samples {
		if s.Case != c || s.Product != product {
			continue
		}
		for _, e := range s.Edits {
			if e.Kind == kind {
				all = append(all, e.Seconds*1e3)
			}
		}
	}
	return all
}

// requests adds up what the steady clients counted in a phase.
func (r *ClusterResults) requests(c gateways.Case, product string, phase gateways.Phase) (all gateways.Requests) {
	for _, s := range r.Gateways.Samples {
		if n := s.Clients[phase]; n != nil && s.Case == c && s.Product == product {
			all.Requests += n.Requests
			all.Failures += n.Failures
		}
	}
	return all
}

func total[N int64 | float64](m map[gateways.Role]N) float64 {
	var sum N
	for _, v := range m {
		sum += v
	}
	return float64(sum)
}

func editCPU(s *gateways.Sample) float64  { return total(s.EditCPU) * 1e3 }
func startCPU(s *gateways.Sample) float64 { return total(s.StartCPU) }
func allMemory(s *gateways.Sample) float64 {
	return total(s.Memory) / (1 << 20)
}
func oneEnvoy(s *gateways.Sample) float64 {
	return float64(s.Memory[gateways.Envoy]) / float64(s.Processes[gateways.Envoy]) / (1 << 20)
}
func converged(s *gateways.Sample) float64 { return s.Converged }

func (r *ClusterResults) targets() *Table {
	t := &Table{Title: "Targets on a cluster", Header: []string{"figure", "target", "measured (middle half)", ""}}
	row := func(figure, target string, measured ratio, met bool) {
		verdict := map[bool]string{true: "met", false: "missed"}[met]
		if !math.IsNaN(measured.Median) {
			t.Rows = append(t.Rows, []string{figure, target, measured.spread(), verdict})
		}
	}
	cases := r.cases()
	var base float64
	for i, c := range cases {
		ms := r.times(c, ours, gateways.Change)
		p50 := median(ms)
		row("changed route, "+c.String()+", p50, ms", "below 100 ms", ratio{p50, quantile(ms, .25), quantile(ms, .75)}, p50 < 100)
		if i == 0 {
			base = p50
			continue
		}
		row(fmt.Sprintf("changed route, %s, p50, to %s", c, cases[0]), "at most 1.5 (flat)",
			ratio{p50 / base, quantile(ms, .25) / base, quantile(ms, .75) / base}, p50 <= 1.5*base)
	}
	var n gateways.Requests
	for _, c := range cases {
		for _, phase := range gateways.Phases() {
			one := r.requests(c, ours, phase)
			n.Requests, n.Failures = n.Requests+one.Requests, n.Failures+one.Failures
		}
	}
	verdict := map[bool]string{true: "met", false: "missed"}[n.Failures == 0]
	t.Rows = append(t.Rows, []string{"failed requests of steady clients", "none", fmt.Sprintf("%d of %d", n.Failures, n.Requests), verdict})
	return t
}

// rows calls f for each case and product that was measured.
func (r *ClusterResults) rows(t *Table, f func(c gateways.Case, product string) []string) *Table {
	for _, c := range r.cases() {
		for _, product := range []string{ours, theirs} {
			if len(r.times(c, product, gateways.Change)) > 0 {
				t.Rows = append(t.Rows, append([]string{c.String(), labels[product]}, f(c, product)...))
			}
		}
	}
	return t
}

func (r *ClusterResults) propagation() *Table {
	t := &Table{
		Title: "From the write to the API server to Envoy's answer, milliseconds",
		Header: []string{"", "", "changed p50", "p99", "added p50", "p99", "removed p50", "p99",
			"the write alone p50", "edits", "errors seen"},
	}
	return r.rows(t, func(c gateways.Case, product string) []string {
		var cells []string
		for _, kind := range gateways.Kinds() {
			ms := r.times(c, product, kind)
			cells = append(cells, number(median(ms)), number(quantile(ms, .99)))
		}
		var written []float64
		errors := 0
		for _, s := range r.Gateways.Samples {
			if s.Case == c && s.Product == product {
				for _, e := range s.Edits {
					written, errors = append(written, e.Written*1e3), errors+e.Failures
				}
			}
		}
		return append(cells, number(median(written)), fmt.Sprint(len(written)), fmt.Sprint(errors))
	})
}

func (r *ClusterResults) cost() *Table {
	t := &Table{
		Title:  "CPU time of one changed route, milliseconds, and of one second without changes",
		Header: []string{"", "", "agents", "controllers", "Envoys", "all", "idle: agents", "controllers", "Envoys"},
	}
	return r.rows(t, func(c gateways.Case, product string) []string {
		var cells []string
		for _, role := range gateways.Roles() {
			cells = append(cells, r.role(c, product, role, func(s *gateways.Sample) float64 { return s.EditCPU[role] * 1e3 }))
		}
		cells = append(cells, number(median(r.passes(c, product, editCPU))))
		for _, role := range gateways.Roles() {
			cells = append(cells, r.role(c, product, role, func(s *gateways.Sample) float64 { return s.IdleCPU[role] * 1e3 }))
		}
		return cells
	})
}

// role is a figure's median; nothing where the product has no such role.
func (r *ClusterResults) role(c gateways.Case, product string, role gateways.Role, f func(*gateways.Sample) float64) string {
	if product == theirs && role == gateways.Agent {
		return "-"
	}
	return number(median(r.passes(c, product, f)))
}

func (r *ClusterResults) startAndMemory() *Table {
	t := &Table{
		Title: "From the write of the Gateways, for which all routes wait; and memory, MiB (at most)",
		Header: []string{"", "", "seconds until served", "until at rest", "CPU s: agents", "controllers", "Envoys",
			"memory: agents", "controllers", "Envoys", "their minders", "all"},
	}
	return r.rows(t, func(c gateways.Case, product string) []string {
		cells := []string{
			number(median(r.passes(c, product, converged))),
			number(median(r.passes(c, product, func(s *gateways.Sample) float64 { return s.Settled }))),
		}
		for _, role := range gateways.Roles() {
			cells = append(cells, r.role(c, product, role, func(s *gateways.Sample) float64 { return s.StartCPU[role] }))
		}
		for _, role := range gateways.MemoryRoles() {
			now := r.role(c, product, role, func(s *gateways.Sample) float64 { return float64(s.Memory[role]) / (1 << 20) })
			if peak := r.role(c, product, role, func(s *gateways.Sample) float64 { return float64(s.PeakMemory[role]) / (1 << 20) }); now != "-" {
				now += " (" + peak + ")"
			}
			cells = append(cells, now)
		}
		return append(cells, number(median(r.passes(c, product, allMemory))))
	})
}

// ratios compare the products, pass by pass where there are passes.
func (r *ClusterResults) ratios() *Table {
	t := &Table{
		Title:  "Envoy Gateway's figure as a multiple of Sluice's",
		Header: []string{"", "changed p50", "changed p99", "added p50", "removed p50", "CPU of a change", "CPU of the start", "until served", "memory of all", "of one Envoy"},
	}
	for _, c := range r.cases() {
		cell := func(kind gateways.Kind, q float64) string {
			v := quantile(r.times(c, theirs, kind), q) / quantile(r.times(c, ours, kind), q)
			return number(v)
		}
		rel := func(f func(*gateways.Sample) float64) string {
			return number(ratios(r.passes(c, theirs, f), r.passes(c, ours, f)).Median)
		}
		t.Rows = append(t.Rows, []string{c.String(), cell(gateways.Change, .5), cell(gateways.Change, .99), cell(gateways.Add, .5), cell(gateways.Remove, .5),
			rel(editCPU), rel(startCPU), rel(converged), rel(allMemory), rel(oneEnvoy)})
	}
	return t
}

func (r *ClusterResults) clients() *Table {
	t := &Table{
		Title:  "Failed requests of steady clients, of all their requests",
		Header: []string{"", "", "while edits were timed", "while routes changed five times a second", "while backends were replaced"},
	}
	return r.rows(t, func(c gateways.Case, product string) []string {
		var cells []string
		for _, phase := range gateways.Phases() {
			n := r.requests(c, product, phase)
			cells = append(cells, fmt.Sprintf("%d of %d", n.Failures, n.Requests))
		}
		return cells
	})
}

// failed lists what could not be measured to the end.
func (r *ClusterResults) failed() *Table {
	t := &Table{Title: "Not measured to the end", Header: []string{"", "", "pass", "why"}}
	for _, s := range r.Gateways.Samples {
		if s.Failed != "" {
			why := strings.Join(strings.Fields(s.Failed), " ") // in one line
			if len(why) > 160 {
				why = why[:160] + "…"
			}
			t.Rows = append(t.Rows, []string{s.Case.String(), labels[s.Product], fmt.Sprint(s.Pass + 1), why})
		}
	}
	return t
}

// plots draws the times of changed routes over the number of routes on one Gateway.
func (r *ClusterResults) plots() []plot {
	title := "From a changed HTTPRoute in the API server to changed traffic, median"
	var all []curve
	for _, product := range []string{ours, theirs} {
		one := curve{label: labels[product], class: map[string]string{ours: "ours", theirs: "other"}[product]}
		for _, c := range r.cases() {
			if ms := r.times(c, product, gateways.Change); c.Gateways == 1 && len(ms) > 0 {
				one.points = append(one.points, [2]float64{float64(c.Routes), median(ms)})
			}
		}
		all = append(all, one)
	}
	const propagation = 1
	if svg := curvesOverRoutes(title, 100, all); svg != nil {
		return []plot{{"bench-cluster.svg", title, propagation, svg}}
	}
	return nil
}
