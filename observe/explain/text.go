package explain

import (
	"cmp"
	"fmt"
	"strings"

	"sluice.io/sluice/model"
)

// Text renders the answer for a terminal.
func (a *Answer) Text() string {
	t := &text{}
	t.line("", "%s", a.headline())
	if a.outside() {
		t.line("client", "outside the mesh")
	} else {
		t.line("client", "%s", a.Client.text())
	}
	if a.Target != nil {
		t.line("target", "%s", a.Target.text())
	}
	if a.Entrance != nil {
		a.Entrance.text(t)
	}
	t.line("handled", "%s", a.handled())
	if a.Rule != nil {
		t.line("rule", "%s", a.Rule.Origin)
		if a.Rule.Match != "" {
			t.line("match", "%s", a.Rule.Match)
		}
		for i, s := range a.Rule.Settings {
			t.line(first(i, "does"), "%s", s)
		}
	}
	for i, p := range a.Passed {
		t.line(first(i, "passed"), "%s: %s", p.Origin, p.Match)
		t.line("", "  %s", p.Why)
	}
	if a.MorePassed > 0 && (len(a.Passed) > 0 || a.Rule == nil) {
		t.line(first(len(a.Passed), "passed"), "%s", more(a.MorePassed, len(a.Passed)))
	}
	for i, b := range a.Backends {
		t.line(first(i, "backends"), "%s", b.text())
		if b.TLS != "" {
			t.line("", "  %s", b.TLS)
		}
		for _, f := range b.Filters {
			t.line("", "  %s", f)
		}
	}
	t.line("outcome", "%s", a.Outcome.Text)
	for i, l := range a.LeftOut {
		t.line(first(i, "left out"), "%s, of %s", l.Route, l.Parent)
		t.line("", "  %s: %s", l.Condition.Reason, l.Condition.Message)
	}
	if a.MoreLeftOut > 0 {
		t.line("", "and %d more", a.MoreLeftOut)
	}
	for i, n := range a.Notes {
		t.line(first(i, "note"), "%s", n)
	}
	return t.String()
}

// text is a table of labels and lines.
type text struct{ strings.Builder }

func (t *text) line(label, format string, args ...any) {
	body := fmt.Sprintf(format, args...)
	if t.Len() == 0 {
		t.WriteString(body + "\n")
		return
	}
	t.WriteString(strings.TrimRight(fmt.Sprintf("  %-9s %s", label, body), " ") + "\n")
}

func first(i int, label string) string {
	if i > 0 {
		return ""
	}
	return label
}

func more(n, listed int) string {
	s := fmt.Sprintf("%d", n)
	if listed > 0 {
		s += " more"
	}
	if n == 1 {
		return s + " match that is for something else"
	}
	return s + " matches that are for something else"
}

func (a *Answer) headline() string {
	q := a.Query
	s := fmt.Sprintf("%s -> %s over %s", q.From, q.To, strings.ToLower(cmp.Or(q.Protocol, "tcp")))
	if a.outside() {
		s = "outside -> " + q.To
		if q.Gateway != (model.GatewayKey{}) {
			s += fmt.Sprintf(" at Gateway %s", q.Gateway)
		}
	}
	switch {
	case a.outside() && a.Entrance != nil && a.Entrance.Domain != "":
		if _, with, err := q.fromURL(); err == nil {
			q = with
		}
		s += fmt.Sprintf(", %s %s", cmp.Or(q.Method, "GET"), cmp.Or(q.Path, "/"))
	case a.outside():
	case a.Handler == HandlerEnvoy:
		s += fmt.Sprintf(", %s %s", cmp.Or(q.Method, "GET"), cmp.Or(q.Path, "/"))
	}
	return s
}

// outside tells that the client is not one of the mesh.
func (a *Answer) outside() bool { return a.Query.From == (model.WorkloadKey{}) }

func (e *Entrance) text(t *text) {
	s := fmt.Sprintf("%s, port %d/%s", e.Origin, e.Port, strings.ToLower(string(e.Protocol)))
	if len(e.Addresses) > 0 {
		s += ", at " + strings.Join(e.Addresses, ", ")
	}
	t.line("gateway", "%s", s)
	if e.Listener != "" {
		s := e.Listener
		if at := e.At.Position(); at != "" {
			s += " (" + at + ")"
		}
		t.line("listener", "%s", s)
	}
	if e.ServerName != "" || e.TLS != "" {
		t.line("tls", "%s", strings.TrimPrefix(strings.TrimSuffix(fmt.Sprintf("server name %s: %s", cmp.Or(e.ServerName, "none"), e.TLS), ": "), ": "))
	}
	if e.Domain != "" {
		t.line("host", "%s", e.Domain)
	}
}

func (c Client) text() string {
	if c.Origin == nil {
		return "not in the mesh"
	}
	s := c.Origin.String()
	if c.Meshed {
		return s + " at " + c.Place
	}
	return s + ", not found on this node"
}

func (t *Target) text() string {
	s := fmt.Sprintf("%s, port %d/%s", t.Origin, t.Frontend.Port, strings.ToLower(string(t.Frontend.Protocol)))
	if t.PortName != "" {
		s += fmt.Sprintf(" (%s)", t.PortName)
	}
	if len(t.VIPs) > 0 {
		s += ", at " + strings.Join(t.VIPs, ", ")
	}
	return s
}

func (a *Answer) handled() string {
	by := map[Handler]string{
		HandlerNone: "by nobody", HandlerKernel: "in the kernel, at connect()", HandlerEnvoy: "by Envoy",
	}[a.Handler]
	return by + ": " + a.Why
}

func (b Backend) text() string {
	name := b.Backend.String()
	if b.Backend == (model.BackendKey{}) {
		name = "nothing"
	}
	s := fmt.Sprintf("%6s  %s (weight %d): ", percent(b.Percent), name, b.Weight)
	if b.Outcome.Verdict == Forwarded {
		return s + endpoints(b)
	}
	return s + b.Outcome.Text
}
