package report

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Table is a title, a header and rows of text; the first column is the name.
type Table struct {
	Title  string
	Header []string
	Rows   [][]string
}

// Text prints the table for a terminal.
func (t *Table) Text(w *bytes.Buffer) {
	widths := make([]int, len(t.Header))
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	fmt.Fprintf(w, "\n%s\n\n", t.Title)
	for _, row := range append([][]string{t.Header}, t.Rows...) {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i == 0 {
				fmt.Fprint(w, "  ", cell, pad)
			} else {
				fmt.Fprint(w, "  ", pad, cell)
			}
		}
		fmt.Fprintln(w)
	}
}

// Markdown prints the table for a document.
func (t *Table) Markdown(w *bytes.Buffer) {
	fmt.Fprintf(w, "\n| %s |\n|%s\n", strings.Join(t.Header, " | "), "---|"+strings.Repeat("---:|", len(t.Header)-1))
	for _, row := range t.Rows {
		fmt.Fprintf(w, "| %s |\n", strings.Join(row, " | "))
	}
}

// number writes a figure with about three digits.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "-"
	case math.Abs(v) >= 10000:
		s := fmt.Sprintf("%.0f", v)
		return s[:len(s)-3] + "," + s[len(s)-3:]
	case math.Abs(v) >= 100:
		return fmt.Sprintf("%.0f", v)
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}

func (r ratio) String() string {
	if math.IsNaN(r.Median) {
		return "-"
	}
	return fmt.Sprintf("%.2f", r.Median)
}

// spread writes the ratio with the range of its middle half.
func (r ratio) spread() string {
	if math.IsNaN(r.Median) {
		return "-"
	}
	return fmt.Sprintf("%.3f (%.3f to %.3f)", r.Median, r.Low, r.High)
}
