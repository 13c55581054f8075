package docs

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// step is a line of a page's shell blocks with a comment that says what comes of it.
type step struct {
	line int
	says string
	out  string
}

var (
	comment = regexp.MustCompile(`^(.*\S) +# (.+)$`)
	heredoc = regexp.MustCompile(`<<'(\w+)'$`)
)

// readPage returns a page's shell blocks as one script, which marks in its output
// what each step prints, and the steps.
func readPage(t *testing.T, path string) (script string, steps []*step) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	var inside bool
	var until string
	for i, line := range strings.Split(string(text), "\n") {
		m := comment.FindStringSubmatch(line)
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```sh"
			continue
		case !inside:
			continue
		case until != "":
			if line == until {
				until = ""
			}
		case heredoc.MatchString(line):
			until = heredoc.FindStringSubmatch(line)[1]
		case m != nil:
			fmt.Fprintf(&b, "echo '@@ %d'\n%s\necho '@@ end'\n", len(steps), m[1])
			steps = append(steps, &step{line: i + 1, says: m[2]})
			continue
		}
		b.WriteString(line + "\n")
	}
	return b.String(), steps
}

// heard gives each step what it printed.
func heard(steps []*step, output string) error {
	for i, s := range steps {
		_, after, found := strings.Cut(output, fmt.Sprintf("@@ %d\n", i))
		out, _, ended := strings.Cut(after, "@@ end\n")
		if !found || !ended {
			return fmt.Errorf("line %d was not reached, or did not end", s.line)
		}
		s.out = strings.TrimSpace(out)
	}
	return nil
}
