package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/xds"
)

func statusCommand() *cobra.Command {
	var (
		to   reach
		out  output
		wait time.Duration
		all  bool
	)
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Say whether the mesh is in force, and what is wrong",
		Long: `Shows readiness, every problem of the input with its file and line, and the
conditions of each object. Exit code 0 when ready, 1 when not: when the folder,
as far as it can be used, is in force. What cannot be used is a problem, and
does not make the rest less ready.

Of a cluster (--context, --kubeconfig), it tells how Sluice's parts are and what
the controller wrote into statuses; with --node, how that node's agent is.`,
		Example: "  sluice status\n  sluice status --wait 30s && echo in force\n  sluice status --context prod --node node1",
		Args:    noArguments(seeHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to.node == "" && to.cluster(cmd) {
				return clusterStatusVerb(cmd, &to, out, wait, all)
			}
			client, err := to.client(cmd.Context())
			if err != nil {
				return err
			}
			st, err := waitReady(cmd.Context(), client, wait)
			if err != nil {
				return err
			}
			if err := out.print(cmd.OutOrStdout(), st, func(w io.Writer) { printStatus(w, st, all) }); err != nil {
				return err
			}
			if !st.Ready {
				return exitCode(1)
			}
			return nil
		},
	}
	cmd.Flags().DurationVar(&wait, "wait", 0, "wait up to this long for readiness")
	cmd.Flags().BoolVar(&all, "all", false, "print all conditions, also when there are many that hold")
	to.add(cmd)
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

// printReady says whether all is ready, and what is not.
func printReady(w io.Writer, ready bool, missing []string) {
	answer := "yes"
	if !ready {
		answer = "no"
	}
	fmt.Fprintf(w, "Ready:      %s\n", answer)
	for _, reason := range missing {
		fmt.Fprintf(w, "            %s\n", reason)
	}
}

func printStatus(w io.Writer, st *agent.Status, all bool) {
	printReady(w, st.Ready, st.NotReady)
	fmt.Fprintf(w, "Source:     %s\n", st.Source)
	fmt.Fprintf(w, "Frontends:  %d (%d in the kernel, %d through Envoy), %d endpoints\n", st.Counts.Frontends, st.Counts.InKernel, st.Counts.ToEnvoy, st.Counts.Endpoints)
	fmt.Fprintf(w, "Workloads:  %d of %d found on this node\n", st.Counts.Workloads, st.Counts.Declared)
	fmt.Fprintf(w, "Envoy:      %s\n", envoyText(st))
	if st.Attached {
		fmt.Fprintf(w, "Kernel:     programs at %s\n", st.Cgroup)
	} else {
		fmt.Fprintf(w, "Kernel:     not in line with the input, at %s\n", st.Cgroup)
	}
	if st.KernelError != "" {
		fmt.Fprintf(w, "            %s\n", st.KernelError)
	}
	printProblems(w, st.Problems, st.Objects, st.XDS.Rejected)
	printConditions(w, st.Objects, all)
}

func envoyText(st *agent.Status) string {
	connected := "connected"
	if !st.XDS.Connected {
		connected = "not connected"
	}
	switch {
	case st.Envoy.PID == 0 && st.XDS.Connected:
		return st.XDS.Version + ", connected" // somebody else runs it
	case st.Envoy.PID == 0:
		return "not running" + restarts(st)
	}
	return fmt.Sprintf("%s, pid %d, %s%s", st.Envoy.Version, st.Envoy.PID, connected, restarts(st))
}

func restarts(st *agent.Status) string {
	if st.Envoy.Restarts == 0 {
		return ""
	}
	return fmt.Sprintf(", started again %d times", st.Envoy.Restarts)
}

// printProblems lists what is wrong with the input, what objects' conditions say
// against them, and what Envoy does not take.
func printProblems(w io.Writer, problems []source.Problem, objects []*model.Status, rejected []xds.Rejection) {
	troubled := troubled(objects)
	if len(problems) == 0 && len(rejected) == 0 && len(troubled) == 0 {
		fmt.Fprintln(w, "Problems:   none")
		return
	}
	fmt.Fprintf(w, "\nProblems:\n")
	for _, p := range problems {
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
		if where != "" {
			message = strings.TrimSpace(where) + "\n      " + message
		}
		fmt.Fprintf(w, "  %s\n", message)
		switch {
		case p.LastGood:
			fmt.Fprintln(w, "      its last good state keeps serving")
		case p.Absent:
			fmt.Fprintln(w, "      there is no good state of it: nothing of it is in force")
		}
	}
	for _, t := range troubled {
		fmt.Fprintf(w, "  %s\n      %s\n", t.place(), t.text())
	}
	for _, r := range rejected {
		fmt.Fprintf(w, "  %s\n      Envoy rejected %s: %s\n", r.Origin, r.Name, r.Message)
	}
}

// manyConditions is from how many rows on only those that tell of trouble are
// printed.
const manyConditions = 60

func printConditions(w io.Writer, objects []*model.Status, all bool) {
	rows := statements(objects)
	if len(rows) == 0 {
		return
	}
	brief := len(rows) > manyConditions && !all
	fmt.Fprintln(w)
	c := newColumns(w, "OBJECT", "PARENT", "CONDITION", "STATUS", "REASON", "WHERE", "MESSAGE")
	left := 0
	for _, s := range rows {
		if brief && !s.Troubling() {
			left++
			continue
		}
		c.row(s.origin.Object.String(), s.parent, s.Type, s.status(), s.Reason, s.origin.Position(), s.Message)
	}
	_ = c.Flush()
	if left > 0 {
		fmt.Fprintf(w, "and %d conditions that hold: --all shows them\n", left)
	}
}
