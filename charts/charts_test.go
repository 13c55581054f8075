package charts

import (
	"bytes"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/gateway-api/pkg/consts"
	"sigs.k8s.io/yaml"

	"sluice.io/sluice/test/cluster/build"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// helm runs helm, which is built first where it isn't yet.
func helm(t *testing.T, args ...string) (out, errOut string, err error) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs helm, whose build takes minutes")
	}
	cache, err := build.Open(t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	path, err := cache.Helm(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	err = cmd.Run()
	return stdout.String(), stderr.String(), err
}

func TestLint(t *testing.T) {
	out, errOut, err := helm(t, "lint", "--strict", "sluice")
	if err != nil || strings.Contains(out, "[WARNING]") {
		t.Errorf("%v\n%s%s", err, out, errOut)
	}
}

// TestGenerated generates anew and compares: README and schema are those of the
// values, and the definitions those of crds.
func TestGenerated(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"values.yaml", "README.md.tmpl"} {
		b, err := os.ReadFile(filepath.Join("sluice", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "go", "run", "./internal/generate", dir, "../crds").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	made, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	crds, err := filepath.Glob(filepath.Join(dir, "crds-of-sluice", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(crds) == 0 {
		t.Error("no definitions were copied")
	}
	for _, path := range slices.Concat(made, crds) {
		name, _ := filepath.Rel(dir, path)
		if name == "crds-of-sluice" {
			continue
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		have, err := os.ReadFile(filepath.Join("sluice", name))
		if err != nil || !bytes.Equal(have, want) {
			t.Errorf("sluice/%s is not what `go generate ./charts/...` makes (%v)", name, err)
		}
	}
}

// TestGolden renders the chart. A case has the flags for `helm template`, and what
// comes of it: a list of the objects, the objects of single templates, or an error.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) { golden(t, file) })
	}
}

func golden(t *testing.T, path string) {
	archive, err := txtar.ParseFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var flags []string
	for i, f := range archive.Files {
		if f.Name == "flags" {
			flags = strings.Fields(string(f.Data))
			continue
		}
		got := render(t, f.Name, flags)
		if *update {
			archive.Files[i].Data = []byte(got)
		} else if want := string(f.Data); got != want {
			t.Errorf("%s is\n%s\nwant\n%s", f.Name, got, want)
		}
	}
	if *update {
		if err := os.WriteFile(path, txtar.Format(archive), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// render is the text that a file of a case is to have.
func render(t *testing.T, name string, flags []string) string {
	args := slices.Concat([]string{"template", "sluice", "sluice", "--namespace", "sluice-system"}, flags)
	if strings.HasPrefix(name, "templates/") {
		args = append(args, "--show-only", name)
	}
	out, errOut, err := helm(t, args...)
	var exit *exec.ExitError
	switch {
	case name == "error" && errors.As(err, &exit):
		_, text, _ := strings.Cut(errOut, "Error: ")
		return inOrder(strings.TrimSpace(strings.ReplaceAll(text, "\nUse --debug flag to render out invalid YAML", ""))) + "\n"
	case err != nil || name == "error":
		t.Fatalf("%v\n%s", err, errOut)
	case name == "objects":
		return objects(t, out)
	case name == "security":
		return security(t, out)
	}
	return strings.TrimPrefix(out, "---\n")
}

// inOrder sorts what is said of values, which helm tells in any order.
func inOrder(text string) string {
	head, list, found := strings.Cut(text, "\n- at ")
	if !found {
		return text
	}
	said := strings.Split(list, "\n- at ")
	slices.Sort(said)
	return head + "\n- at " + strings.Join(said, "\n- at ")
}

// security lists the security context of each container.
func security(t *testing.T, stream string) string {
	var b strings.Builder
	for doc := range strings.SplitSeq(stream, "\n---\n") {
		var o struct {
			Spec struct{ Template corev1.PodTemplateSpec }
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		for _, c := range o.Spec.Template.Spec.Containers {
			text, err := yaml.Marshal(map[string]any{c.Name: c.SecurityContext})
			if err != nil {
				t.Fatal(err)
			}
			b.Write(text)
		}
	}
	return b.String()
}

// objects lists what there is in a stream of YAML.
func objects(t *testing.T, stream string) string {
	var lines []string
	for doc := range strings.SplitSeq(stream, "\n---\n") {
		var o struct {
			Kind     string
			Metadata struct{ Namespace, Name string }
		}
		if err := yaml.Unmarshal([]byte(doc), &o); err != nil {
			t.Fatal(err)
		}
		if o.Kind != "" {
			lines = append(lines, strings.TrimSpace(o.Kind+" "+strings.TrimPrefix(o.Metadata.Namespace+"/", "/")+o.Metadata.Name))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n") + "\n"
}

// TestPreflight wants those who have not got the Gateway API to be shown the release that
// Sluice knows.
func TestPreflight(t *testing.T) {
	b, err := os.ReadFile("sluice/templates/preflight.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if want := "/releases/download/" + consts.BundleVersion + "/"; !strings.Contains(string(b), want) {
		t.Errorf("it tells to install another release than %s", want)
	}
}

var capability = regexp.MustCompile(`^\s+- [A-Z_]+ # [A-Z].*\.$`)

// TestLeastPrivilege holds all containers to it: none is privileged, each
// capability says what it is for, and nothing else may be left out.
func TestLeastPrivilege(t *testing.T) {
	for _, name := range []string{"agent", "envoy", "controller", "uninstall"} {
		b, err := os.ReadFile(filepath.Join("sluice", "templates", name+".yaml"))
		if err != nil {
			t.Fatal(err)
		}
		text := string(b)
		for _, want := range []string{"readOnlyRootFilesystem: true", "seccompProfile: {type: RuntimeDefault}", "[ALL]"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s", name, want)
			}
		}
		if strings.Contains(text, "privileged: true") {
			t.Errorf("%s: it has a privileged container", name)
		}
		_, added, ok := strings.Cut(text, "            add:\n")
		for line := range strings.Lines(added) {
			line = strings.TrimRight(line, "\n")
			if !strings.HasPrefix(strings.TrimSpace(line), "- ") {
				break
			}
			if !capability.MatchString(line) {
				t.Errorf("%s: a capability without its reason: %s", name, line)
			}
		}
		if ok != (name == "agent" || name == "envoy") {
			t.Errorf("%s: capabilities added: %v", name, ok)
		}
	}
}
