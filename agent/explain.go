package agent

import (
	"fmt"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/explain"
	"sluice.io/sluice/source"
	"sluice.io/sluice/xds"
)

// explain answers from the mesh in force, and adds what only the agent knows:
// what stands between the mesh as it should be and the data path as it is.
func (a *Agent) explain(q explain.Query) (*explain.Answer, error) {
	mesh := a.state.mesh()
	mesh.Workloads = a.state.workloads()
	answer, err := explain.Explain(mesh, a.state.said(), q)
	if err != nil {
		return nil, err
	}
	st := a.status()
	Annotate(answer, st.Problems)
	answer.Notes = append(answer.Notes, doubts(answer, st)...)
	return answer, nil
}

// Annotate adds to an answer what is wrong with the input of the objects that it
// names.
func Annotate(answer *explain.Answer, problems []source.Problem) {
	named := objects(answer)
	for _, p := range problems {
		if p.Warning || !named[p.Object] {
			continue
		}
		note := fmt.Sprintf("%s, at %s:%d: %s", p.Object, p.File, p.Line, p.Message)
		if p.LastGood {
			note += " (its last good state is what is explained here)"
		}
		answer.Notes = append(answer.Notes, note)
	}
}

// doubts are the reasons why the data path may not do what the mesh says.
func doubts(answer *explain.Answer, st *Status) []string {
	var notes []string
	if st.KernelError != "" {
		notes = append(notes, "the kernel could not be programmed, and may still do what it did before: "+st.KernelError)
	}
	if answer.Handler != explain.HandlerEnvoy {
		return notes
	}
	if !st.Envoy.Live || !st.XDS.Connected {
		notes = append(notes, "Envoy is not up: the connection fails until it is, and goes no other way")
	}
	named := objects(answer)
	for _, r := range st.XDS.Rejected {
		if named[r.Origin.Object] {
			notes = append(notes, rejection(r))
		}
	}
	return notes
}

func rejection(r xds.Rejection) string {
	return fmt.Sprintf("Envoy rejected what was made of %s%s: %s", r.Origin, fallback(r), r.Message)
}

// fallback is what Envoy does instead of a resource that it rejected.
func fallback(r xds.Rejection) string {
	if r.LastGood {
		return ", and goes on with what it took last"
	}
	return ", and has nothing in its place"
}

// objects are those that an answer names.
func objects(answer *explain.Answer) map[model.ObjectRef]bool {
	named := map[model.ObjectRef]bool{}
	add := func(o *model.Origin) {
		if o != nil {
			named[o.Object] = true
		}
	}
	add(answer.Client.Origin)
	if answer.Target != nil {
		add(&answer.Target.Origin)
	}
	if in := answer.Entrance; in != nil {
		add(&in.Origin)
		add(in.At)
	}
	for i := range answer.LeftOut {
		add(&answer.LeftOut[i].Route)
	}
	if answer.Rule != nil {
		add(&answer.Rule.Origin)
	}
	for _, p := range answer.Passed {
		add(&p.Origin)
	}
	for _, b := range answer.Backends {
		named[model.ObjectRef{Kind: "Service", Namespace: b.Backend.Namespace, Name: b.Backend.Name}] = true
	}
	return named
}
