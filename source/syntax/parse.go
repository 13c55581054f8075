package syntax

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	yamlv2 "go.yaml.in/yaml/v2"
	"go.yaml.in/yaml/v3"
)

// Node is a node of a document's tree. Its Line counts from 1 at the start of
// the document's text.
type Node = yaml.Node

// Parse reads one document's text. The node is nil when the text holds nothing.
func Parse(text []byte, format Format) (root *Node, err *Error) {
	if len(text) > MaxDocument {
		return nil, &Error{Line: 1, Message: fmt.Sprintf(
			"the document has %d bytes, more than the %d that are read: split it", len(text), MaxDocument)}
	}
	defer func() {
		if r := recover(); r != nil { // a fault of the parser's, not of ours
			root, err = nil, &Error{Line: 1, Message: fmt.Sprintf("cannot be parsed: %v", r)}
		}
	}()
	if format == JSON {
		return parseJSON(text)
	}
	return parseYAML(text)
}

func parseYAML(text []byte) (*Node, *Error) {
	dec := yaml.NewDecoder(bytes.NewReader(text))
	var doc Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, yamlError(err, text)
	}
	var more Node
	if err := dec.Decode(&more); err == nil {
		return nil, &Error{Line: more.Line, Message: "a second document starts here without --- before it"}
	} else if !errors.Is(err, io.EOF) {
		return nil, yamlError(err, text)
	}
	if doc.Kind != yaml.DocumentNode || len(doc.Content) != 1 {
		return nil, nil
	}
	return doc.Content[0], nil
}

var yamlLine = regexp.MustCompile(`^line (\d+): `)

// problemLine asks the parser's older version for the line of a problem: it
// tells where the problem is, the newer one where the mapping or list around it
// starts.
func problemLine(text []byte, msg string) (line int) {
	defer func() { _ = recover() }() // a fault of that parser's
	var into any
	err := yamlv2.Unmarshal(text, &into)
	if err == nil {
		return 0
	}
	m := yamlLine.FindStringSubmatch(strings.TrimPrefix(err.Error(), "yaml: "))
	if m == nil || !strings.HasSuffix(err.Error(), msg) {
		return 0
	}
	line, _ = strconv.Atoi(m[1])
	if strings.HasPrefix(msg, "did not find expected") {
		line++ // such errors are counted from 0
	}
	return line
}

// yamlError takes the line out of the parser's message.
func yamlError(err error, text []byte) *Error {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if m := yamlLine.FindStringSubmatch(msg); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = msg[len(m[0]):]
	}
	if better := problemLine(text, msg); better > 0 {
		line = better
	}
	line = min(max(line, 1), 1+bytes.Count(text, []byte("\n")))
	return &Error{Line: line, Message: "not valid YAML: " + msg}
}
