package agent

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/model"
	"sluice.io/sluice/netns"
	"sluice.io/sluice/source"
	"sluice.io/sluice/xds"
)

// Status is the whole answer to `sluice status`.
type Status struct {
	Version string `json:"version"`
	// Source is the folder or the API server that the objects come from.
	Source string `json:"source"`
	// Ready is true when the input is in force: kernel programmed, Envoy
	// connected and serving.
	Ready bool `json:"ready"`
	// NotReady says what is missing; empty when ready.
	NotReady []string `json:"notReady,omitempty"`
	// KernelError is the last failure to program the kernel.
	KernelError string `json:"kernelError,omitempty"`
	Cgroup      string `json:"cgroup"`
	// Attached tells that the kernel programs are at Cgroup, with this mesh.
	Attached bool             `json:"attached"`
	Envoy    envoy.Status     `json:"envoy"`
	XDS      xds.Status       `json:"xds"`
	Counts   Counts           `json:"counts"`
	Problems []source.Problem `json:"problems"`
	// Objects are the statuses of routes, and of services and workloads that
	// have something to say.
	Objects []*model.Status `json:"objects"`
}

// Counts says how large the mesh is.
type Counts struct {
	Frontends int `json:"frontends"`
	ToEnvoy   int `json:"toEnvoy"`
	InKernel  int `json:"inKernel"`
	Backends  int `json:"backends"`
	Endpoints int `json:"endpoints"`
	Workloads int `json:"workloads"`
	Declared  int `json:"declared"`
}

func (a *Agent) status() *Status {
	st := &Status{Version: a.cfg.Version, Source: a.source.Name(), Cgroup: a.cfg.CgroupRoot, XDS: a.proxy.Status()}
	if a.envoy != nil {
		st.Envoy = a.envoy.Status()
	} else {
		st.Envoy = envoy.Status{Live: st.XDS.Connected}
	}
	if a.state.starting() {
		st.NotReady = append(st.NotReady, a.reading())
	}
	a.state.describe(st)
	if !st.Envoy.Live {
		st.NotReady = append(st.NotReady, "Envoy is not live")
	}
	if !st.XDS.Connected {
		st.NotReady = append(st.NotReady, "Envoy is not connected")
	}
	st.Ready = len(st.NotReady) == 0
	st.Attached = st.KernelError == "" && !a.state.starting()
	amend(st)
	return st
}

// reading says how far the start has come.
func (a *Agent) reading() string {
	s := "the input is being read"
	if p := a.source.Progress(); p != "" {
		s += ": " + p
	}
	return s
}

// amend says of an object that is accepted, but not as it stands in the input
// now, what is in force instead.
func amend(st *Status) {
	instead := map[model.ObjectRef]string{}
	for _, p := range st.Problems {
		if p.LastGood {
			instead[p.Object] = fmt.Sprintf("its last good state is in force; what stands at %s:%d is broken", p.File, p.Line)
		}
	}
	for _, r := range st.XDS.Rejected {
		instead[r.Origin.Object] = "Envoy rejected it" + fallback(r)
	}
	for i, o := range st.Objects {
		if message, ok := instead[o.Origin.Object]; ok {
			st.Objects[i] = withMessage(o, message)
		}
	}
}

// withMessage returns a status whose Accepted conditions that hold say more; the
// original is shared and stays as it is.
func withMessage(o *model.Status, message string) *model.Status {
	c := *o
	c.Parents = slices.Clone(o.Parents)
	for i := range c.Parents {
		conditions := slices.Clone(c.Parents[i].Conditions)
		for j := range conditions {
			if conditions[j].Type == "Accepted" && conditions[j].Status {
				conditions[j].Message = message
			}
		}
		c.Parents[i].Conditions = conditions
	}
	return &c
}

// describe fills in what the state knows.
func (s *state) describe(st *Status) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kernelErr != nil {
		st.KernelError = s.kernelErr.Error()
		st.NotReady = append(st.NotReady, "the kernel could not be programmed")
	}
	st.Counts = count(s.current)
	st.Counts.Declared = len(s.declared)
	st.Problems = slices.Clone(s.problems)
	for key, err := range s.lost {
		p := source.Problem{Message: err.Error(), Warning: errors.Is(err, netns.ErrAbsent)}
		if w := s.declared[key]; w != nil {
			p.Object, p.File, p.Line = w.Origin.Object, w.Origin.File, w.Origin.Line
		}
		st.Problems = append(st.Problems, p)
	}
	slices.SortStableFunc(st.Problems, func(a, b source.Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(uint(a.Line)-1, uint(b.Line)-1), cmp.Compare(a.Message, b.Message))
	})
	st.Objects = slices.SortedFunc(maps.Values(s.statuses), func(a, b *model.Status) int {
		return model.CompareRefs(a.Origin.Object, b.Origin.Object)
	})
}

func count(m *model.Mesh) Counts {
	c := Counts{Frontends: len(m.Frontends), Backends: len(m.Backends), Workloads: len(m.Workloads)}
	for _, f := range m.Frontends {
		if f.HTTP != nil {
			c.ToEnvoy++
		} else {
			c.InKernel++
		}
	}
	for _, e := range m.Endpoints {
		c.Endpoints += len(e.Endpoints)
	}
	return c
}
