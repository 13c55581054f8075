package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/source"
	"sluice.io/sluice/xds"
)

// translation is the output of `sluice translate`.
type translation struct {
	Envoy    json.RawMessage  `json:"envoy"`
	Kernel   *redirect.Dump   `json:"kernel"`
	Statuses []*model.Status  `json:"statuses,omitempty"`
	Problems []source.Problem `json:"problems,omitempty"`
}

func translateCommand() *cobra.Command {
	var (
		paths  agent.Paths
		out    output
		folder string
	)
	cmd := &cobra.Command{
		Use:   "translate -f FOLDER",
		Short: "Show what a folder becomes: Envoy's configuration and the kernel's map entries",
		Long: `Translates a folder without touching this machine; no root needed. Workloads are
taken as found, with 1, 2, 3... in place of the kernel's network namespace cookies.
Problems and conditions that say what is not in force go to the standard error.
Exit code 1 when the folder has problems other than warnings.`,
		Example: "  sluice translate -f mesh/\n  sluice translate -f mesh/ -o json | jq .envoy.routes",
		Args:    noArguments("name the folder with -f"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFolder(folder); err != nil {
				return err
			}
			t, err := translate(folder, paths)
			if err != nil {
				return err
			}
			if err := out.print(cmd.OutOrStdout(), t, nil); err != nil {
				return err
			}
			printLoadProblems(cmd.ErrOrStderr(), t.Problems)
			for _, c := range troubled(t.Statuses) {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %s\n", c.place(), c.text())
			}
			if slices.ContainsFunc(t.Problems, func(p source.Problem) bool { return !p.Warning }) {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&folder, "folder", "f", "", "folder of YAML that describes the mesh")
	_ = cmd.MarkFlagDirname("folder")
	addPathFlags(cmd, &paths, false)
	addOutputFlag(cmd, &out, "yaml", "json")
	return cmd
}

func translate(folder string, paths agent.Paths) (*translation, error) {
	mesh, result, problems, err := loadFolder(folder)
	if err != nil {
		return nil, err
	}
	place(mesh, paths)
	all := xds.Translate(mesh, paths.NetnsDir())
	if len(all.Unfit) > 0 {
		r := all.Unfit[0]
		return nil, fmt.Errorf("%s cannot be said to Envoy: %s", r.Origin, r.Message)
	}
	resources, err := json.Marshal(all)
	if err != nil {
		return nil, fmt.Errorf("encode Envoy's configuration: %w", err)
	}
	t := &translation{Envoy: resources, Kernel: redirect.Plan(mesh), Problems: problems}
	t.Statuses = sortedStatuses(result.Statuses)
	return t, nil
}

func sortedStatuses(all map[model.ObjectRef]*model.Status) []*model.Status {
	return slices.SortedFunc(maps.Values(all), func(a, b *model.Status) int { return model.CompareRefs(a.Origin.Object, b.Origin.Object) })
}

// printLoadProblems writes what is wrong with a folder for people.
func printLoadProblems(w io.Writer, problems []source.Problem) {
	for _, p := range problems {
		where := p.File
		if p.Line > 0 {
			where = fmt.Sprintf("%s:%d", p.File, p.Line)
		}
		if p.Object != (model.ObjectRef{}) {
			where += " " + p.Object.String()
		}
		level := ""
		if p.Warning {
			level = "warning: "
		}
		fmt.Fprintf(w, "%s: %s%s\n", where, level, p.Message)
	}
}
