package redirect

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// script is a mesh, or a change of one, as it stands in a golden file.
type script struct {
	Frontends []*model.Frontend    `json:"frontends"`
	Endpoints []*model.Endpoints   `json:"endpoints"`
	Workloads []*model.Workload    `json:"workloads"`
	Ports     []*model.GatewayPort `json:"ports"`
	Gone      struct {
		Frontends []model.FrontendKey `json:"frontends"`
		Endpoints []model.BackendKey  `json:"endpoints"`
		Workloads []model.WorkloadKey `json:"workloads"`
		Ports     []model.PortKey     `json:"ports"`
	} `json:"gone"`
}

func (s script) delta() *model.Delta {
	d := model.NewDelta()
	for _, f := range s.Frontends {
		d.Frontends[f.Key] = f
	}
	for _, e := range s.Endpoints {
		d.Endpoints[e.Key] = e
	}
	for _, w := range s.Workloads {
		d.Workloads[w.Key] = w
	}
	for _, key := range s.Gone.Frontends {
		d.Frontends[key] = nil
	}
	for _, key := range s.Gone.Endpoints {
		d.Endpoints[key] = nil
	}
	for _, key := range s.Gone.Workloads {
		d.Workloads[key] = nil
	}
	for _, g := range s.Ports {
		d.Ports[g.Key] = g
	}
	for _, key := range s.Gone.Ports {
		d.Ports[key] = nil
	}
	return d
}

// TestGolden: each file has a mesh.json and what the maps hold for it, and
// perhaps a change.json with the operations that it takes.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, file string) {
	archive, err := txtar.ParseFile(file)
	if err != nil {
		t.Fatal(err)
	}
	mesh := model.NewMesh()
	p := newPlanner(newTables())
	out := &txtar.Archive{Comment: archive.Comment}
	for _, f := range archive.Files {
		if !strings.HasSuffix(f.Name, ".json") {
			continue
		}
		d := parseScript(t, f)
		mesh.Apply(d)
		errText := ""
		if err := p.merge(d); err != nil {
			errText = err.Error() + "\n"
		}
		ops := ""
		for _, o := range p.plan() {
			ops += describe(p, o) + "\n"
			o.table.apply(o)
		}
		p.settle()
		name := strings.TrimSuffix(f.Name, ".json")
		out.Files = append(out.Files, f)
		for _, result := range []txtar.File{
			{Name: name + ".error", Data: []byte(errText)},
			{Name: name + ".operations", Data: []byte(ops)},
			{Name: name + ".maps", Data: dumpJSON(t, newDump(p.have, p.steers, nil, nil))},
		} {
			if len(result.Data) > 0 {
				out.Files = append(out.Files, result)
			}
		}
	}
	compareGolden(t, file, archive, out)
}

func parseScript(t *testing.T, f txtar.File) *model.Delta {
	t.Helper()
	var s script
	dec := json.NewDecoder(bytes.NewReader(f.Data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		t.Fatalf("%s: %v", f.Name, err)
	}
	return s.delta()
}

func dumpJSON(t *testing.T, d *Dump) []byte {
	t.Helper()
	text, err := json.MarshalIndent(d, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return append(text, '\n')
}

func compareGolden(t *testing.T, file string, want, got *txtar.Archive) {
	t.Helper()
	text := txtar.Format(got)
	if *update {
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	was, is := strings.Split(string(txtar.Format(want)), "\n"), strings.Split(string(text), "\n")
	for i := range max(len(was), len(is)) {
		if i >= len(was) || i >= len(is) || was[i] != is[i] {
			t.Fatalf("%s:%d: the plan is another one now (go test -update, then look at the difference): %q",
				file, i+1, is[min(i, len(is)-1)])
		}
	}
}

// describe says in words what an operation does.
func describe(p *planner, o op) string {
	verb := "put   "
	if o.delete {
		verb = "delete"
	}
	table := strings.TrimPrefix(o.table.mapName(), "sl_")
	text := fmt.Sprintf("%s %-9s %s", verb, table, describeKey(p, o))
	if value := describeValue(o.value); value != "" {
		text += " = " + value
	}
	return text
}

func describeKey(p *planner, o op) string {
	group := func(id uint32) string { return nameOf(p.groupIDs, id) }
	switch key := o.key.(type) {
	case bpf.NameKey:
		return fmt.Sprintf("%d/%d", key.Kind, key.Id)
	case bpf.WorkloadKey:
		return fmt.Sprintf("%d/%d", key.Kind, key.Id)
	case bpf.FrontendKey:
		return fmt.Sprintf("%s:%d/%s scope %d", fromAddr(key.Vip), fromPort(key.Port), fromProto(key.Proto), key.Scope)
	case bpf.SteeringKey:
		return fmt.Sprintf("%s:%d/%s", fromAddr(key.Ip), fromPort(key.Port), fromProto(key.Proto))
	case bpf.SplitKey:
		return fmt.Sprintf("%s/%s", nameOf(p.frontendIDs, key.Frontend), family(key.Family))
	case bpf.SlotKey:
		return fmt.Sprintf("%s[%d]", group(key.Group), key.Index)
	case bpf.Endpoint:
		return fmt.Sprintf("%s %s", group(key.Group), fromEndpoint(key))
	case uint32:
		if o.table.mapName() == "sl_groups" {
			return group(key)
		}
	}
	return fmt.Sprint(o.key)
}

func describeValue(value any) string {
	switch v := value.(type) {
	case nil:
		return ""
	case bpf.Name:
		return fromName(v)
	case bpf.Meta:
		return fmt.Sprintf("next frontend %d, group %d, scope %d", v.NextFrontend, v.NextGroup, v.NextScope)
	case bpf.Workload:
		return fmt.Sprintf("scope %d, port %d, flags %d", v.Scope, fromPort(v.EnvoyPort), v.Flags)
	case bpf.Frontend:
		return fmt.Sprintf("%s: frontend %d, parts %d, group %d, affinity %d s, flags %d", actions[v.Action], v.Id, v.Parts, v.Group, v.Affinity, v.Flags)
	case bpf.Split:
		text := ""
		for _, part := range v.Part {
			if part.Upto > 0 {
				text += fmt.Sprintf(" <%d: group %d", part.Upto, part.Group)
			}
		}
		return fmt.Sprintf("of %d:%s", v.Total, text)
	case bpf.Steering:
		return map[uint32]string{bpf.SteeringEnvoy: "envoy", bpf.SteeringReserved: "reserved"}[v.Kind]
	case bpf.Group:
		return fmt.Sprint(v.N)
	case bpf.Endpoint:
		return fromEndpoint(v).String()
	case uint32:
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%v", value)
}

func nameOf[K comparable](t *ids[K], id uint32) string {
	for key, n := range t.numbers {
		if n.id == id {
			return t.text(key)
		}
	}
	return fmt.Sprint(id)
}
