package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice.io/sluice/controller"
	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/kube"
)

// clusterStatus is the whole answer to `sluice status` of a cluster.
type clusterStatus struct {
	Server   string           `json:"server"`
	Ready    bool             `json:"ready"`
	NotReady []string         `json:"notReady,omitempty"`
	Parts    *kube.Parts      `json:"parts"`
	Problems []source.Problem `json:"problems"`
	// Objects are what the controller wrote into statuses; and of objects that have
	// none, such as Services, what is wrong with them.
	Objects []*model.Status `json:"objects"`
}

// status asks a cluster how Sluice is there.
func (r *reach) status(ctx context.Context) (*clusterStatus, error) {
	s, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	st := &clusterStatus{Server: s.host, Problems: append([]source.Problem{}, s.problems...)}
	if st.Parts, err = r.parts(ctx); err != nil {
		st.NotReady = append(st.NotReady, "how Sluice's own parts are is not known: "+err.Error())
	}
	st.parts(r.namespace)
	behind := 0
	for ref, obj := range s.live {
		said, current := kube.Said(ref, obj, controller.Name)
		if said != nil {
			st.Objects = append(st.Objects, said)
		}
		if want := s.result.Statuses[ref]; !current || want != nil && len(want.Parents) > 0 && said == nil {
			behind++
		}
	}
	if behind > 0 {
		st.NotReady = append(st.NotReady, fmt.Sprintf("the statuses of %d objects are not up to date", behind))
	}
	for ref, said := range s.result.Statuses {
		if _, written := s.live[ref]; !written && said != nil {
			st.Objects = append(st.Objects, said)
		}
	}
	slices.SortFunc(st.Objects, func(a, b *model.Status) int { return model.CompareRefs(a.Origin.Object, b.Origin.Object) })
	st.Ready = len(st.NotReady) == 0
	return st, nil
}

func (r *reach) parts(ctx context.Context) (*kube.Parts, error) {
	config, _, err := r.access.Connect()
	if err != nil {
		return nil, err
	}
	return kube.ReadParts(ctx, config, r.namespace)
}

// parts says what is missing of Sluice's own parts.
func (st *clusterStatus) parts(namespace string) {
	if st.Parts == nil {
		return
	}
	if len(st.Parts.Sets) == 0 {
		st.NotReady = append(st.NotReady, fmt.Sprintf("no agents are installed in namespace %s (another --sluice-namespace?)", namespace))
	}
	for _, p := range st.Parts.Sets {
		if p.Ready < p.Want {
			st.NotReady = append(st.NotReady, fmt.Sprintf("%s: %d of %d are ready", p.Name, p.Ready, p.Want))
		}
	}
	if st.Parts.Leader == "" || st.Parts.Stale {
		st.NotReady = append(st.NotReady, "no controller leads: statuses are not written")
	}
}

// clusterStatusVerb prints the status of a cluster; it waits for readiness.
func clusterStatusVerb(cmd *cobra.Command, r *reach, out output, wait time.Duration, all bool) error {
	deadline := time.Now().Add(wait)
	for {
		st, err := r.status(cmd.Context())
		if err != nil {
			return err
		}
		if !st.Ready && time.Now().Before(deadline) {
			select {
			case <-cmd.Context().Done():
				return cmd.Context().Err()
			case <-time.After(500 * time.Millisecond):
			}
			continue
		}
		if err := out.print(cmd.OutOrStdout(), st, func(w io.Writer) { printClusterStatus(w, st, all) }); err != nil {
			return err
		}
		if !st.Ready {
			return exitCode(1)
		}
		return nil
	}
}

func printClusterStatus(w io.Writer, st *clusterStatus, all bool) {
	printReady(w, st.Ready, st.NotReady)
	fmt.Fprintf(w, "Cluster:    %s\n", st.Server)
	if st.Parts != nil {
		fmt.Fprintf(w, "Controller: %s\n", cmp.Or(st.Parts.Leader, "none leads"))
		for _, p := range st.Parts.Sets {
			fmt.Fprintf(w, "%-11s %d of %d nodes ready\n", strings.TrimPrefix(p.Name, "sluice-")+":", p.Ready, p.Want)
		}
	}
	kinds := map[string]int{}
	for _, o := range st.Objects {
		kinds[o.Origin.Object.Kind]++
	}
	var counts []string
	for _, k := range slices.Sorted(maps.Keys(kinds)) {
		counts = append(counts, fmt.Sprintf("%d %s", kinds[k], k))
	}
	fmt.Fprintf(w, "Objects:    %s\n", cmp.Or(strings.Join(counts, ", "), "none"))
	printProblems(w, st.Problems, st.Objects, nil)
	printConditions(w, st.Objects, all)
}
