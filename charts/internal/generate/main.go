// Command generate makes a chart's values.schema.json, README.md and copies of
// Sluice's CustomResourceDefinitions. Usage: generate CHART CRDS
//
// It owns where they are. What is in them, package values and crds decide.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice.io/sluice/charts/internal/values"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: generate CHART CRDS")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}

func generate(chart, crds string) error {
	data, err := os.ReadFile(filepath.Join(chart, "values.yaml"))
	if err != nil {
		return err
	}
	root, err := values.Parse(data)
	if err != nil {
		return err
	}
	schema, err := values.Schema(root)
	if err != nil {
		return err
	}
	table, err := values.Table(root)
	if err != nil {
		return err
	}
	readme, err := os.ReadFile(filepath.Join(chart, "README.md.tmpl"))
	if err != nil {
		return err
	}
	files := map[string][]byte{
		"values.schema.json": schema,
		"README.md":          []byte(strings.ReplaceAll(string(readme), "@TABLE@\n", table)),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(chart, name), content, 0o644); err != nil {
			return err
		}
	}
	return copyCRDs(crds, filepath.Join(chart, "crds-of-sluice"))
}

// copyCRDs copies the definitions of what clusters have: a Workload is for
// machines without Kubernetes.
func copyCRDs(from, to string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	if err := os.Mkdir(to, 0o755); err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(from, "sluice.io_*.yaml"))
	if err != nil {
		return err
	}
	for _, file := range files {
		if filepath.Base(file) == "sluice.io_workloads.yaml" {
			continue
		}
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(file)), b, 0o644); err != nil {
			return err
		}
	}
	return nil
}
