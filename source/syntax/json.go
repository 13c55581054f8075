package syntax

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// jsonParser builds the same trees from JSON as the YAML parser does, with lines.
type jsonParser struct {
	text []byte
	dec  *json.Decoder
	// line is that of offset at, counted so far.
	line, at int
}

func parseJSON(text []byte) (*Node, *Error) {
	p := &jsonParser{text: text, dec: json.NewDecoder(bytes.NewReader(text)), line: 1}
	p.dec.UseNumber()
	root, err := p.value(0)
	if err == nil {
		if _, end := p.dec.Token(); errors.Is(end, io.EOF) {
			return root, nil
		} else if end != nil {
			err = end
		} else {
			err = errors.New("more text after the value")
		}
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errors.New("the text ends early")
		p.at, p.line = len(text), 1+bytes.Count(bytes.TrimRight(text, "\n"), []byte("\n"))
	}
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return nil, &Error{Line: p.lineOf(int(syntax.Offset)), Message: "not valid JSON: " + syntax.Error()}
	}
	return nil, &Error{Line: p.lineOf(int(p.dec.InputOffset())), Message: "not valid JSON: " + err.Error()}
}

// lineOf is the line of an offset. Offsets mostly grow, so each byte is counted once.
func (p *jsonParser) lineOf(offset int) int {
	offset = min(max(offset, 0), len(p.text))
	if offset < p.at {
		return p.line
	}
	p.line += bytes.Count(p.text[p.at:offset], []byte("\n"))
	p.at = offset
	return p.line
}

func (p *jsonParser) value(depth int) (*Node, error) {
	if depth > MaxDepth {
		return nil, errors.New(tooDeep)
	}
	tok, err := p.dec.Token()
	if err != nil {
		return nil, err
	}
	return p.rest(tok, depth)
}

// rest reads what follows the first token of a value.
func (p *jsonParser) rest(tok json.Token, depth int) (*Node, error) {
	n := &Node{Line: p.lineOf(int(p.dec.InputOffset()))}
	switch tok := tok.(type) {
	case json.Delim:
		return n, p.composite(n, tok, depth)
	case string:
		n.Kind, n.Tag, n.Style, n.Value = yaml.ScalarNode, "!!str", yaml.DoubleQuotedStyle, tok
	case json.Number:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!float", tok.String()
		if _, err := strconv.ParseInt(n.Value, 10, 64); err == nil {
			n.Tag = "!!int"
		}
	case bool:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!bool", strconv.FormatBool(tok)
	case nil:
		n.Kind, n.Tag, n.Value = yaml.ScalarNode, "!!null", "null"
	}
	return n, nil
}

func (p *jsonParser) composite(n *Node, open json.Delim, depth int) error {
	n.Kind, n.Tag = yaml.SequenceNode, "!!seq"
	if open == '{' {
		n.Kind, n.Tag = yaml.MappingNode, "!!map"
	}
	for p.dec.More() {
		child, err := p.value(depth + 1)
		if err != nil {
			return err
		}
		n.Content = append(n.Content, child)
	}
	_, err := p.dec.Token() // the closing delimiter
	return err
}

var tooDeep = fmt.Sprintf("nested more than %d levels deep", MaxDepth)
