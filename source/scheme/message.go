package scheme

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// faultsOf words the errors of the Kubernetes validators for operators.
func faultsOf(errs field.ErrorList) []fault {
	var faults []fault
	for _, e := range errs {
		path := e.Field
		if path == "<nil>" {
			path = ""
		}
		faults = append(faults, fault{path: path, message: wording(e, path)})
	}
	return faults
}

func wording(e *field.Error, path string) string {
	detail := strings.TrimPrefix(e.Detail, path+" in body ")
	switch e.Type {
	case field.ErrorTypeRequired:
		return withDetail("is required", detail)
	case field.ErrorTypeNotSupported:
		return fmt.Sprintf("unsupported value %s: %s%s", value(e.BadValue), detail, suggestValue(e.BadValue, detail))
	case field.ErrorTypeDuplicate:
		return withDetail("given twice: "+value(e.BadValue), detail)
	case field.ErrorTypeTypeInvalid:
		return wrongType(detail)
	case field.ErrorTypeInvalid:
		if v := value(e.BadValue); v != "" {
			return fmt.Sprintf("invalid value %s: %s", v, detail)
		}
		return detail
	case field.ErrorTypeForbidden:
		return withDetail("is not allowed", detail)
	}
	return withDetail(e.Type.String(), detail)
}

var typeDetail = regexp.MustCompile(`^must be of type (\w+): "(\w+)"$`)

// wrongType rewords "must be of type string: "boolean"".
func wrongType(detail string) string {
	m := typeDetail.FindStringSubmatch(detail)
	if m == nil {
		return detail
	}
	want, have, hint := m[1], m[2], ""
	scalar := have == "boolean" || have == "integer" || have == "number"
	switch {
	case want == "string" && scalar:
		hint = ": put it in quotes"
	case have == "string" && want != "object" && want != "array":
		hint = ": is it in quotes?"
	}
	return "must be " + typeWords[want] + ", is " + typeWords[have] + hint
}

// typeWords name the types of JSON schemas as YAML's users do.
var typeWords = map[string]string{
	"string": "text", "integer": "a whole number", "number": "a number", "boolean": "true or false",
	"object": "a mapping", "array": "a list", "null": "null",
}

func withDetail(text, detail string) string {
	if detail == "" {
		return text
	}
	return text + ": " + detail
}

// value shows a scalar shortly, and nothing else.
func value(v any) string {
	switch v := v.(type) {
	case string:
		if v == "object" || v == "array" || v == "null" { // types that stand for values
			return ""
		}
		if len(v) > 64 {
			v = strings.ToValidUTF8(v[:64], "") + "..."
		}
		return strconv.Quote(v)
	case int64, float64, bool, int:
		return fmt.Sprint(v)
	}
	return ""
}

// suggestValue proposes one of the values that a detail lists in quotes.
func suggestValue(bad any, detail string) string {
	text, ok := bad.(string)
	if !ok {
		return ""
	}
	var known []string
	for i, part := range strings.Split(detail, `"`) {
		if i%2 == 1 {
			known = append(known, part)
		}
	}
	return suggest(text, known)
}

// suggestField proposes a sibling for an unknown field, such as
// spec.rules[0].mathces.
func suggestField(s *schema.Structural, path string) string {
	steps := strings.FieldsFunc(path, func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	for _, step := range steps[:max(len(steps)-1, 0)] {
		switch {
		case s.Items != nil:
			s = s.Items
		default:
			child, ok := s.Properties[step]
			if !ok {
				return ""
			}
			s = &child
		}
	}
	if len(steps) == 0 {
		return ""
	}
	return suggest(steps[len(steps)-1], sortedKeys(s.Properties))
}
