package netns

import (
	"path/filepath"
)

// The parts of `sluice status -o json` that tests look at.
type (
	statusReport struct {
		Ready    bool           `json:"ready"`
		Problems []problem      `json:"problems"`
		Objects  []objectStatus `json:"objects"`
		Counts   struct {
			Frontends int `json:"frontends"`
			Workloads int `json:"workloads"`
		} `json:"counts"`
		Envoy struct {
			PID      int `json:"pid"`
			Restarts int `json:"restarts"`
		} `json:"envoy"`
		XDS struct {
			Rejected []struct {
				Name    string `json:"name"`
				Message string `json:"message"`
			} `json:"rejected"`
		} `json:"xds"`
	}
	objectRef struct {
		Kind      string `json:"kind"`
		Namespace string `json:"namespace"`
		Name      string `json:"name"`
	}
	problem struct {
		Object   objectRef `json:"object"`
		File     string    `json:"file"`
		Line     int       `json:"line"`
		Message  string    `json:"message"`
		LastGood bool      `json:"lastGood"`
	}
	objectStatus struct {
		Origin struct {
			Object objectRef `json:"object"`
			File   string    `json:"file"`
			Line   int       `json:"line"`
		} `json:"origin"`
		Parents []struct {
			Conditions []condition `json:"conditions"`
		} `json:"parents"`
		Conditions []condition `json:"conditions"`
	}
	condition struct {
		Type    string `json:"type"`
		Status  bool   `json:"status"`
		Reason  string `json:"reason"`
		Message string `json:"message"`
	}
)

// status asks sluice how it is.
func (s *space) status() *statusReport {
	s.t.Helper()
	st := &statusReport{}
	if err := s.Ask(s.t.Context(), st, "status"); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// problem is the first problem that sluice has with a file, nil for none.
func (s *space) problem(file string) *problem {
	s.t.Helper()
	for _, p := range s.status().Problems {
		if filepath.Base(p.File) == file {
			return &p
		}
	}
	return nil
}

// conditions are those of an object of the space, by type; the worst of all
// parents. They are nil when sluice says nothing of the object.
func (s *space) conditions(kind, name string) map[string]condition {
	s.t.Helper()
	for _, o := range s.status().Objects {
		if o.Origin.Object != (objectRef{kind, s.ns, name}) {
			continue
		}
		all := o.Conditions
		for _, p := range o.Parents {
			all = append(all, p.Conditions...)
		}
		worst := map[string]condition{}
		for _, c := range all {
			if w, ok := worst[c.Type]; !ok || w.Status {
				worst[c.Type] = c
			}
		}
		return worst
	}
	return nil
}
