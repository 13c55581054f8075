package report

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
)

// The measured part of the document stands between these lines.
const (
	beginMark = "<!-- measured: begin (written by `make bench`) -->"
	endMark   = "<!-- measured: end -->"
)

// Text returns all tables for a terminal.
func (r *Results) Text() string { return text(r.tables()) }

func text(tables []*Table) string {
	var w bytes.Buffer
	for _, t := range tables {
		if len(t.Rows) > 0 {
			t.Text(&w)
		}
	}
	return w.String()
}

func (r *Results) tables() []*Table {
	all := append([]*Table{targets(r)}, dataPathTables(r.DataPath)...)
	return append(all, controlTables(r.Control)...)
}

// Publish writes the plots, and the measured part of docs/benchmarks.md.
func (r *Results) Publish(docs string) error {
	return publish(docs, beginMark, endMark, r.machine(), r.tables(), r.plots())
}

// publish writes plots, and the part of docs/benchmarks.md between two marks.
func publish(docs, begin, end, about string, tables []*Table, plots []plot) error {
	for _, p := range plots {
		if err := os.WriteFile(filepath.Join(docs, "img", p.file), p.svg, 0o644); err != nil {
			return fmt.Errorf("write plot: %w", err)
		}
	}
	file := filepath.Join(docs, "benchmarks.md")
	old, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read document: %w", err)
	}
	before, rest, ok := bytes.Cut(old, []byte(begin))
	_, after, ended := bytes.Cut(rest, []byte(end))
	if !ok || !ended {
		return fmt.Errorf("%s lacks the lines %q and %q", file, begin, end)
	}
	var b bytes.Buffer
	b.Write(before)
	fmt.Fprintf(&b, "%s\n%s\n", begin, about)
	sections(&b, tables, plots)
	fmt.Fprintf(&b, "\n%s", end)
	b.Write(after)
	return os.WriteFile(file, b.Bytes(), 0o644)
}

func (r *Results) machine() string {
	m := r.Machine
	return fmt.Sprintf("Measured %s (%d rounds of the data path, in %s all together) with Sluice %s and Envoy %s\n"+
		"on Linux %s, %d × %s, %s of memory.\n",
		r.Taken.UTC().Format("2006-01-02"), r.rounds(), r.Took, m.Version, m.Envoy, m.Kernel, m.CPUs, m.CPU, m.Memory)
}

func (r *Results) rounds() int {
	if r.DataPath == nil || len(r.DataPath.Samples) == 0 {
		return 0
	}
	return r.DataPath.Samples[len(r.DataPath.Samples)-1].Round + 1
}

// sections writes the tables, each plot behind the table that it draws.
func sections(w *bytes.Buffer, tables []*Table, plots []plot) {
	for i, t := range tables {
		if len(t.Rows) == 0 {
			continue
		}
		fmt.Fprintf(w, "\n### %s\n", t.Title)
		t.Markdown(w)
		for _, p := range plots {
			if p.table == i {
				fmt.Fprintf(w, "\n![%s](img/%s)\n", p.title, p.file)
			}
		}
	}
}
