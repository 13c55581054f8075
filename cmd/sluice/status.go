package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
)

func statusCommand() *cobra.Command {
	var (
		paths agent.Paths
		out   output
		wait  time.Duration
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the mesh is in force, and what is wrong",
		Long: `Shows readiness, every problem of the input with its file and line, and the
conditions of each route. Exit code 0 when ready, 1 when not.`,
		Example: "  sluice status\n  sluice status --wait 30s && echo in force",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			st, err := waitReady(cmd.Context(), agent.NewClient(paths), wait)
			if err != nil {
				return err
			}
			if err := out.print(cmd.OutOrStdout(), st, func(w io.Writer) { printStatus(w, st) }); err != nil {
				return err
			}
			if !st.Ready {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this long for readiness")
	addPathFlags(cmd, &paths, false)
	addOutputFlag(cmd, &out, "table", "json", "yaml")
	return cmd
}

// waitReady asks until the answer is ready or the time is over.
func waitReady(ctx context.Context, c *agent.Client, wait time.Duration) (*agent.Status, error) {
	deadline := time.Now().Add(wait)
	answered := false
	for {
		st, err := c.Status(ctx)
		if err == nil && st.Ready || time.Now().After(deadline) {
			return st, err
		}
		// One that has not started yet is worth waiting for; one that has gone is not.
		if err != nil && (answered || !errors.Is(err, agent.ErrNotRunning)) {
			return nil, err
		}
		answered = err == nil
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func printStatus(w io.Writer, st *agent.Status) {
	ready := "yes"
	if !st.Ready {
		ready = "no"
	}
	fmt.Fprintf(w, "Ready:      %s\n", ready)
	for _, reason := range st.NotReady {
		fmt.Fprintf(w, "            %s\n", reason)
	}
	fmt.Fprintf(w, "Folder:     %s\n", st.Folder)
	fmt.Fprintf(w, "Frontends:  %d (%d in the kernel, %d through Envoy), %d endpoints\n", st.Counts.Frontends, st.Counts.InKernel, st.Counts.ToEnvoy, st.Counts.Endpoints)
	fmt.Fprintf(w, "Workloads:  %d of %d found on this node\n", st.Counts.Workloads, st.Counts.Declared)
	fmt.Fprintf(w, "Envoy:      %s, pid %d, restarts %d, connected %t\n", st.Envoy.Version, st.Envoy.PID, st.Envoy.Restarts, st.XDS.Connected)
	if st.Attached {
		fmt.Fprintf(w, "Kernel:     programs at %s\n", st.Cgroup)
	} else {
		fmt.Fprintf(w, "Kernel:     not in line with the folder, at %s\n", st.Cgroup)
	}
	if st.KernelError != "" {
		fmt.Fprintf(w, "            %s\n", st.KernelError)
	}
	printProblems(w, st)
	printConditions(w, st.Objects)
}

func printProblems(w io.Writer, st *agent.Status) {
	if len(st.Problems) == 0 && len(st.XDS.Rejected) == 0 {
		fmt.Fprintln(w, "Problems:   none")
		return
	}
	fmt.Fprintf(w, "\nProblems:\n")
	for _, p := range st.Problems {
		where := p.File
		if p.Line > 0 {
			where += ":" + strconv.Itoa(p.Line)
		}
		if p.Object != (model.ObjectRef{}) {
			where += " " + p.Object.String()
		}
		message := p.Message
		if p.Warning {
			message = "warning: " + message
		}
		fmt.Fprintf(w, "  %s\n      %s\n", where, message)
		if p.LastGood {
			fmt.Fprintln(w, "      its last good state keeps serving")
		}
	}
	for _, r := range st.XDS.Rejected {
		fmt.Fprintf(w, "  %s\n      Envoy rejected %s: %s\n", r.Origin, r.Name, r.Message)
	}
}

func printConditions(w io.Writer, objects []*model.Status) {
	if len(objects) == 0 {
		return
	}
	fmt.Fprintln(w)
	c := newColumns(w, "OBJECT", "PARENT", "CONDITION", "STATUS", "REASON", "WHERE", "MESSAGE")
	for _, o := range objects {
		for _, cond := range o.Conditions {
			conditionRow(c, o, "", cond)
		}
		for _, p := range o.Parents {
			parent := p.Parent.String()
			if p.Port != 0 {
				parent += ":" + strconv.Itoa(int(p.Port))
			}
			for _, cond := range p.Conditions {
				conditionRow(c, o, parent, cond)
			}
		}
	}
	_ = c.Flush()
}

func conditionRow(c columns, o *model.Status, parent string, cond model.Condition) {
	status := "False"
	if cond.Status {
		status = "True"
	}
	c.row(o.Origin.Object.String(), parent, cond.Type, status, cond.Reason, o.Origin.Position(), cond.Message)
}
