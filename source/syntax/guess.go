package syntax

import (
	"bytes"
	"strings"
)

// Guessed is what a document that cannot be parsed seems to be about.
type Guessed struct {
	Kind, Namespace, Name string
	// Line is where the document's first key stands.
	Line int
}

// Guess reads kind, metadata.namespace and metadata.name from YAML by its
// lines alone, for documents with a syntax error somewhere else. A last line
// without its end may be half-written, so it is not believed.
func Guess(text []byte) Guessed {
	var g Guessed
	inMeta, indent := false, ""
	for no, line := range bytes.SplitAfter(text, []byte("\n")) {
		if !bytes.HasSuffix(line, []byte("\n")) || blank(line) || line[0] == '-' {
			continue
		}
		text := strings.TrimRight(string(line), " \t\r\n")
		own := text[:len(text)-len(strings.TrimLeft(text, " "))]
		key, value, ok := strings.Cut(text[len(own):], ":")
		if g.Line == 0 {
			g.Line = no + 1
		}
		switch {
		case own == "":
			inMeta, indent = ok && key == "metadata", ""
			if key == "kind" {
				g.Kind = unquote(value)
			}
			if inMeta {
				g.flow(value)
			}
		case inMeta && indent == "":
			indent = own
			fallthrough
		case inMeta && own == indent:
			g.meta(key, value)
		}
	}
	return g
}

func (g *Guessed) meta(key, value string) {
	switch key {
	case "name":
		g.Name = unquote(value)
	case "namespace":
		g.Namespace = unquote(value)
	}
}

// flow reads metadata in braces, on one line.
func (g *Guessed) flow(value string) {
	fields, ok := strings.CutPrefix(strings.TrimSpace(value), "{")
	if fields, _, closed := strings.Cut(fields, "}"); ok && closed {
		for field := range strings.SplitSeq(fields, ",") {
			if key, value, ok := strings.Cut(field, ":"); ok {
				g.meta(strings.TrimSpace(key), value)
			}
		}
	}
}

// unquote takes the plain or quoted text after a key's colon.
func unquote(value string) string {
	value, _, _ = strings.Cut(value, " #")
	value = strings.TrimSpace(value)
	if len(value) >= 2 && (value[0] == '"' || value[0] == '\'') && value[len(value)-1] == value[0] {
		value = value[1 : len(value)-1]
	}
	if strings.ContainsAny(value, "\"'{}[]&*!|>%@`") {
		return ""
	}
	return value
}
