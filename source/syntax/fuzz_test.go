package syntax

import (
	"bytes"
	"testing"
)

// FuzzSplit cuts any text: the parts are parts of the text, in order, with the
// right lines, and nothing but comments, space and markers is left out.
func FuzzSplit(f *testing.F) {
	for _, seed := range []string{
		"a: 1\n---\nb: 2\n", "---\n---\n--- # c\na\n...\nb", "%YAML 1.2\n---\na\n...\n%TAG ! x\n---\nb",
		"a: |\n  x\n---\n  y", "---a\n----\n---\ta", "\r\n---\r\na\r\n", "#\n#\n---\n#\n", "{}{}\n[1]\n\"}\"", "{\"a\\\"}\":1}{", "}}{",
	} {
		f.Add([]byte(seed), false)
		f.Add([]byte(seed), true)
	}
	f.Fuzz(func(t *testing.T, text []byte, isJSON bool) {
		format := YAML
		if isJSON {
			format = JSON
		}
		at := 0
		for _, doc := range Split(text, format) {
			start := bytes.Index(text[at:], doc.Text)
			if start < 0 || len(doc.Text) == 0 {
				t.Fatalf("%q is no part of what follows", doc.Text)
			}
			// The part may stand more than once: its line tells which it is.
			for ; start >= 0; start = next(text, at, doc.Text) {
				at += start
				if 1+bytes.Count(text[:at], []byte("\n")) >= doc.Line {
					break
				}
				at++
			}
			if got := 1 + bytes.Count(text[:at], []byte("\n")); got != doc.Line {
				t.Fatalf("%q is said to start on line %d, is on %d", doc.Text, doc.Line, got)
			}
			at += len(doc.Text)
		}
	})
}

func next(text []byte, at int, part []byte) int { return bytes.Index(text[at:], part) }
