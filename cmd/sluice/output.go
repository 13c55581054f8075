package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// output is the -o flag of a verb.
type output string

func addOutputFlag(cmd *cobra.Command, o *output, values ...string) {
	cmd.Flags().StringVarP((*string)(o), "output", "o", values[0], "output format: "+strings.Join(values, ", "))
	complete(cmd, "output", values...)
	// Before the work, which may be long.
	cmd.PreRunE = func(*cobra.Command, []string) error {
		if slices.Contains(values, string(*o)) {
			return nil
		}
		return fmt.Errorf("-o %q: use one of %s", string(*o), strings.Join(values, ", "))
	}
}

// print writes v as JSON or YAML, or lets table write it.
func (o output) print(w io.Writer, v any, table func(io.Writer)) error {
	switch o {
	case "json":
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(v)
	case "yaml":
		b, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encode as YAML: %w", err)
		}
		_, err = w.Write(b)
		return err
	}
	table(w)
	return nil
}

// columns writes rows aligned under a heading.
type columns struct{ *tabwriter.Writer }

func newColumns(w io.Writer, heading ...string) columns {
	c := columns{tabwriter.NewWriter(w, 0, 4, 2, ' ', 0)}
	c.row(heading...)
	return c
}

func (c columns) row(cells ...string) {
	for i, cell := range cells {
		if cell == "" {
			cells[i] = "-"
		}
	}
	fmt.Fprintln(c, strings.Join(cells, "\t"))
}
