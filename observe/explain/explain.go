package explain

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice.io/sluice/model"
)

// Explain answers a query about a mesh, whose statuses tell what of Gateways is
// not served. It fails only when the query makes no sense; a destination that
// nobody knows is an answer.
func Explain(m *model.Mesh, statuses map[model.ObjectRef]*model.Status, q Query) (*Answer, error) {
	if q.From == (model.WorkloadKey{}) {
		return fromOutside(m, statuses, q)
	}
	if q.Gateway != (model.GatewayKey{}) {
		return nil, errors.New("a client in the mesh dials services: for a Gateway, leave the client out, or leave the Gateway out")
	}
	d, err := q.destination()
	if err != nil {
		return nil, err
	}
	e := &explainer{mesh: m, query: q, to: d, answer: &Answer{Query: q, Handler: HandlerNone}}
	e.client()
	f := e.target()
	switch {
	case f == nil:
	case !e.answer.Client.Meshed:
		e.leaveAlone("the client is not in the mesh: its connections are never touched")
		e.note("For a client in the mesh: %s.", f.Why)
	case f.HTTP != nil:
		e.envoy(f)
	default:
		e.kernel(f)
	}
	return e.answer, nil
}

// explainer is one query being answered.
type explainer struct {
	mesh   *model.Mesh
	query  Query
	to     destination
	answer *Answer
	// outside tells that a Gateway is dialled: its backends may have TLS.
	outside bool
}

func (e *explainer) note(format string, args ...any) {
	e.answer.Notes = append(e.answer.Notes, fmt.Sprintf(format, args...))
}

// leaveAlone answers that the connection goes where it was sent.
func (e *explainer) leaveAlone(why string) {
	e.answer.Handler, e.answer.Why = HandlerNone, why
	e.answer.Outcome = Outcome{Verdict: Untouched, Text: fmt.Sprintf("the connection goes to %s as it is", e.to)}
}

func (e *explainer) client() {
	c := &e.answer.Client
	c.Key = e.query.From
	w := e.mesh.Workloads[c.Key]
	if w == nil {
		e.note("Workload %s is not declared, or its network namespace or cgroup is not there.%s", c.Key, e.nearWorkloads())
		return
	}
	c.Place = cmp.Or(w.Netns, w.Cgroup)
	c.Origin = &w.Origin
	c.Meshed = w.Place != nil
	if !c.Meshed {
		e.note("Workload %s is declared, but nothing is at %s yet.", c.Key, c.Place)
	}
}

func (e *explainer) nearWorkloads() string {
	var names []string
	for k := range e.mesh.Workloads {
		names = append(names, k.String())
	}
	return suggest(e.query.From.String(), names)
}

// kernel explains an L4 frontend.
func (e *explainer) kernel(f *model.Frontend) {
	a := e.answer
	a.Handler, a.Why = HandlerKernel, f.Why
	a.Rule = &Rule{Origin: f.L4.Origin}
	if f.Affinity > 0 {
		a.Rule.Settings = append(a.Rule.Settings, fmt.Sprintf("session affinity: a client stays with its endpoint for %s", f.Affinity))
	}
	if q := e.query; len(q.Headers) > 0 || q.Path != "" && q.Path != "/" || q.Method != "" && q.Method != "GET" {
		e.note("The kernel looks at connections, not at requests: method, path and headers make no difference.")
	}
	family := e.family(f)
	for _, w := range f.L4.Backends {
		b := e.backend(w, family)
		switch {
		case w.Invalid != "":
			b.Outcome = Outcome{Verdict: Refused, Text: "refused: " + w.Invalid}
		case len(b.Endpoints) == 0:
			b.Outcome = Outcome{Verdict: Refused, Text: "refused: no ready endpoint" + familyNote(family)}
		default:
			b.Outcome = Outcome{Verdict: Forwarded, Text: "connects straight to one of them"}
		}
		a.Backends = append(a.Backends, b)
	}
	setPercents(a.Backends)
	a.Outcome = sumUp(a.Backends, Outcome{Verdict: Refused, Text: "the connection is refused at once: no backend has a weight"})
}

// envoy explains an HTTP frontend.
func (e *explainer) envoy(f *model.Frontend) {
	e.answer.Handler, e.answer.Why = HandlerEnvoy, f.Why
	e.route(f.HTTP, newRequest(e.query, e.to), func() int { return e.family(f) })
	if e.mesh.Workloads[e.query.From].Place.Unready {
		e.note("Once Envoy can listen there: %s.", e.answer.Outcome.Text)
		e.answer.Outcome = Outcome{Verdict: Refused, Text: "the connection is refused: Envoy cannot listen on the client's loopback; sluice status says why"}
	}
}

// route finds the rule that takes a request.
func (e *explainer) route(routing *model.HTTPRouting, r *request, family func() int) {
	a := e.answer
	if strings.Contains(e.query.Path, "#") {
		a.Outcome = failure(false, 400, "", "a path must not have a fragment (#)")
		return
	}
	if r.path != pathOnly(e.query.Path) {
		e.note("Envoy normalizes the path to %s.", r.path)
	}
	i := slices.IndexFunc(routing.Entries, func(en model.HTTPEntry) bool {
		why, _ := mismatch(en.Match, r)
		return why == ""
	})
	if i < 0 {
		e.passed(routing.Entries, r, false)
		a.Outcome = failure(routing.GRPC, 404, "UNIMPLEMENTED", "no rule matches the request")
		return
	}
	e.passed(routing.Entries[:i], r, true)
	entry := routing.Entries[i]
	a.Rule = &Rule{Origin: entry.Rule.Origin, Match: describe(entry.Match), Settings: settings(entry.Rule)}
	e.outcome(entry, r, family())
}

func (e *explainer) outcome(entry model.HTTPEntry, r *request, family int) {
	a, rule := e.answer, entry.Rule
	for _, fl := range rule.Filters {
		if fl.Redirect != nil {
			a.Outcome = e.redirect(fl.Redirect, entry.Match, r)
			return
		}
	}
	for _, w := range rule.Backends {
		b := e.backend(w, family)
		b.Outcome = e.share(w, b, entry, r, family)
		a.Backends = append(a.Backends, b)
	}
	setPercents(a.Backends)
	nothing := "the rule has no backends"
	if len(a.Backends) > 0 {
		nothing = "no backend has a weight"
	}
	a.Outcome = sumUp(a.Backends, failure(rule.GRPC, 500, "UNAVAILABLE", nothing))
}

// share says what happens to the requests of one backend.
func (e *explainer) share(w model.WeightedBackend, b Backend, entry model.HTTPEntry, r *request, family int) Outcome {
	grpc := entry.Rule.GRPC
	if w.Invalid != "" {
		return failure(grpc, 500, "UNAVAILABLE", "the backend is invalid: "+w.Invalid)
	}
	for _, fl := range w.Filters {
		if fl.Redirect != nil {
			return e.redirect(fl.Redirect, entry.Match, r)
		}
	}
	if t := e.policy(w.Backend); t != nil && t.Invalid != "" {
		return failure(grpc, 503, "UNAVAILABLE", "nothing may be sent to the backend: "+t.Invalid)
	}
	if len(b.Endpoints) == 0 {
		return failure(grpc, 503, "UNAVAILABLE", "no ready endpoint"+familyNote(family))
	}
	return Outcome{Verdict: Forwarded, Text: "goes to one of them"}
}

// maxPassed bounds how many matches are listed that did not take the request.
const maxPassed = 5

// passed lists the matches that go before the one that took the request: those
// for its path, or when nothing took it, those that come nearest.
func (e *explainer) passed(entries []model.HTTPEntry, r *request, taken bool) {
	type near struct {
		Passed
		fulfilled int
	}
	var all []near
	for _, en := range entries {
		why, n := mismatch(en.Match, r)
		if taken && en.Match.Path != nil && pathMismatch(en.Match.Path, r.path) != "" {
			continue
		}
		all = append(all, near{Passed{Origin: en.Rule.Origin, Match: describe(en.Match), Why: why}, n})
	}
	slices.SortStableFunc(all, func(a, b near) int { return b.fulfilled - a.fulfilled })
	for _, p := range all[:min(len(all), maxPassed)] {
		e.answer.Passed = append(e.answer.Passed, p.Passed)
	}
	e.answer.MorePassed = len(entries) - len(e.answer.Passed)
}

// failure is an answer that Envoy makes up.
func failure(grpc bool, status int, code, why string) Outcome {
	if grpc {
		return Outcome{Verdict: Answered, Status: 200, GRPC: code, Text: fmt.Sprintf("Envoy answers with gRPC status %s: %s", code, why)}
	}
	return Outcome{Verdict: Answered, Status: status, Text: fmt.Sprintf("Envoy answers with %d: %s", status, why)}
}
