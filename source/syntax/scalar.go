package syntax

import (
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// words are the plain words that are no strings in YAML 1.1, which is what
// kubectl reads: the same file must mean the same here.
var words = map[string]any{
	"": nil, "~": nil, "null": nil, "Null": nil, "NULL": nil,
	"y": true, "Y": true, "yes": true, "Yes": true, "YES": true,
	"true": true, "True": true, "TRUE": true, "on": true, "On": true, "ON": true,
	"n": false, "N": false, "no": false, "No": false, "NO": false,
	"false": false, "False": false, "FALSE": false, "off": false, "Off": false, "OFF": false,
}

// scalar is the value of a scalar node.
func scalar(n *Node) (any, error) {
	switch tag := n.ShortTag(); {
	case n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0,
		n.Style&yaml.TaggedStyle != 0 && tag == "!!str":
		if n.Style&yaml.TaggedStyle != 0 && tag != "!!str" {
			return tagged(tag, n.Value)
		}
		return n.Value, nil
	case n.Style&yaml.TaggedStyle != 0:
		return tagged(tag, n.Value)
	}
	return plain(n.Value)
}

// tagged is the value of a scalar with an explicit tag.
func tagged(tag, text string) (any, error) {
	if tag == "!!binary" {
		data, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, fmt.Errorf("!!binary value: %w", err)
		}
		if !utf8.Valid(data) {
			return nil, errors.New("!!binary value: it is no text in UTF-8, which all fields are")
		}
		return string(data), nil
	}
	v, err := plain(text)
	if err != nil {
		return nil, err
	}
	ok := false
	switch v.(type) {
	case nil:
		ok = tag == "!!null"
	case bool:
		ok = tag == "!!bool"
	case float64:
		ok = tag == "!!float"
	case int64:
		ok = tag == "!!int" || tag == "!!float"
	}
	if !ok {
		return nil, fmt.Errorf("the tag %s does not fit %q, or is not known", tag, short(text))
	}
	return v, nil
}

var float = regexp.MustCompile(`^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$`)

// plain is the value of a scalar without quotes and tag.
func plain(text string) (any, error) {
	if v, ok := words[text]; ok {
		return v, nil
	}
	if c := text[0]; c == '.' || c == '+' || c == '-' || c >= '0' && c <= '9' {
		return number(text)
	}
	return text, nil
}

func number(text string) (any, error) {
	switch strings.ToLower(strings.TrimLeft(text, "+-")) {
	case ".inf", ".nan":
		return nil, fmt.Errorf("%s is no number that a field can have", text)
	}
	digits := strings.ReplaceAll(text, "_", "")
	if i, err := strconv.ParseInt(digits, 0, 64); err == nil {
		return i, nil
	}
	if u, err := strconv.ParseUint(digits, 0, 64); err == nil {
		return float64(u), nil
	}
	if float.MatchString(digits) {
		if f, err := strconv.ParseFloat(digits, 64); err == nil && !math.IsInf(f, 0) {
			return whole(f), nil
		}
	}
	return text, nil
}

// whole makes an integer of a number without a fraction, as it becomes one when
// kubectl writes it as JSON.
func whole(f float64) any {
	if f == math.Trunc(f) && math.Abs(f) < 1<<63 {
		return int64(f)
	}
	return f
}

// short cuts long text for a message.
func short(text string) string {
	const most = 64
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}
