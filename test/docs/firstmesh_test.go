package docs

import (
	"regexp"
	"strings"
	"testing"
)

// answers are the words that a page's servers answer with.
var answers = regexp.MustCompile(`\b(one|two)\b`)

// look prints what a page has left behind.
const look = `
echo '@@ left'
shopt -s nullglob
for path in /run/sluice* /run/netns/* /var/lib/* /sys/fs/bpf/sluice* /dev/shm/* /tmp/* "$CGROUP"/sluice*; do echo "$path"; done
`

// TestFirstMesh pastes the blocks of docs/first-mesh.md, in order, into a root
// shell, and wants what its comments say.
func TestFirstMesh(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root and Envoy")
	}
	script, steps := readPage(t, "../../docs/first-mesh.md")
	if len(steps) < 6 {
		t.Fatalf("the page has only %d lines that say what comes of them", len(steps))
	}
	out, err := play(t, script+look)
	if err == nil {
		err = heard(steps, out)
	}
	if err != nil {
		t.Fatalf("%v\nit printed:\n%s", err, out)
	}
	for _, s := range steps {
		switch {
		case answers.MatchString(s.says):
			if want := answers.FindString(s.says); s.out != want {
				t.Errorf("line %d prints %q, want %q", s.line, s.out, want)
			}
		case s.says == "file, line, what to do; the last good state serves":
			for _, want := range []string{"/tmp/first/mesh/route.yaml:", "HTTPRoute shop/store", `did you mean "backendRefs"?`, "last good state"} {
				if !strings.Contains(s.out, want) {
					t.Errorf("line %d prints no %q:\n%s", s.line, want, s.out)
				}
			}
		default:
			t.Errorf("line %d: nothing here checks that %q", s.line, s.says)
		}
	}
	if !strings.Contains(out, "goes to 10.77.0.2:8082") {
		t.Errorf("explain does not name v2's endpoint:\n%s", out)
	}
	if _, left, found := strings.Cut(out, "@@ left\n"); !found || left != "" {
		t.Errorf("the last block leaves:\n%s", left)
	}
}
