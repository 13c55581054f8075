package scheme

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
)

// shape is the part of a schema that most objects can be proven valid by, in one
// pass without garbage. What it cannot prove, the full validator decides, which
// also words what is wrong: it costs ten times as much.
type shape struct {
	kind     string
	nullable bool
	int32    bool
	// unsure is set for what a shape cannot prove anything of.
	unsure   bool
	required []string
	fields   map[string]*shape
	items    *shape
	extra    *shape
	enum     map[any]bool
	pattern  *regexp.Regexp
	least    *float64
	most     *float64
	shortest *int64
	longest  *int64
}

// shapeOf compiles a schema.
func shapeOf(s *schema.Structural) (*shape, error) {
	sh := &shape{kind: s.Type, nullable: s.Nullable}
	sh.unsure = s.XPreserveUnknownFields || s.XIntOrString || s.XEmbeddedResource
	var err error
	for name, property := range s.Properties {
		if sh.fields == nil {
			sh.fields = make(map[string]*shape, len(s.Properties))
		}
		if sh.fields[name], err = shapeOf(&property); err != nil {
			return nil, err
		}
	}
	if s.Items != nil {
		if sh.items, err = shapeOf(s.Items); err != nil {
			return nil, err
		}
	}
	if s.AdditionalProperties != nil {
		sh.unsure = sh.unsure || s.AdditionalProperties.Structural == nil
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		if sh.extra, err = shapeOf(s.AdditionalProperties.Structural); err != nil {
			return nil, err
		}
	}
	if s.ValueValidation != nil {
		err = sh.values(s.ValueValidation)
	}
	return sh, err
}

func (sh *shape) values(v *schema.ValueValidation) (err error) {
	sh.unsure = sh.unsure || v.ExclusiveMinimum || v.ExclusiveMaximum || v.MultipleOf != nil || v.UniqueItems ||
		len(v.AllOf)+len(v.AnyOf)+len(v.OneOf) > 0 || v.Not != nil || v.Format != "" && !plainFormats[v.Format] ||
		v.MinProperties != nil
	sh.int32 = v.Format == "int32"
	sh.required, sh.least, sh.most = v.Required, v.Minimum, v.Maximum
	switch sh.kind {
	case "string":
		sh.shortest, sh.longest = v.MinLength, v.MaxLength
	case "array":
		sh.shortest, sh.longest = v.MinItems, v.MaxItems
	case "object":
		sh.longest = v.MaxProperties
	}
	if v.Pattern != "" {
		if sh.pattern, err = regexp.Compile(v.Pattern); err != nil {
			return fmt.Errorf("compile pattern: %w", err)
		}
	}
	for _, value := range v.Enum {
		if sh.enum == nil {
			sh.enum = map[any]bool{}
		}
		sh.enum[value.Object] = true
	}
	return nil
}

// plainFormats are those that a shape knows.
var plainFormats = map[string]bool{"int32": true, "int64": true}

// proves reports whether a value is surely valid.
func (sh *shape) proves(v any) bool {
	if sh.unsure {
		return false
	}
	switch v := v.(type) {
	case nil:
		return sh.nullable
	case string:
		return sh.kind == "string" && sh.within(utf8.RuneCountInString(v)) && sh.listed(v) &&
			(sh.pattern == nil || sh.pattern.MatchString(v))
	case int64:
		return sh.kind == "integer" && sh.inRange(v) && (sh.enum == nil || sh.enum[v])
	case bool:
		return sh.kind == "boolean" && sh.enum == nil
	case []any:
		return sh.provesList(v)
	case map[string]any:
		return sh.provesObject(v)
	}
	return false
}

func (sh *shape) provesList(list []any) bool {
	if sh.kind != "array" || sh.items == nil || !sh.within(len(list)) || sh.enum != nil {
		return false
	}
	for _, item := range list {
		if !sh.items.proves(item) {
			return false
		}
	}
	return true
}

func (sh *shape) provesObject(m map[string]any) bool {
	if sh.kind != "object" || !sh.within(len(m)) || sh.enum != nil {
		return false
	}
	for _, name := range sh.required {
		if _, ok := m[name]; !ok {
			return false
		}
	}
	for name, v := range m {
		field := sh.fields[name]
		if field == nil {
			field = sh.extra
		}
		if field != nil && !field.proves(v) { // what has no schema may be anything
			return false
		}
	}
	return true
}

func (sh *shape) listed(text string) bool { return sh.enum == nil || sh.enum[text] }

func (sh *shape) within(length int) bool {
	return (sh.shortest == nil || int64(length) >= *sh.shortest) && (sh.longest == nil || int64(length) <= *sh.longest)
}

func (sh *shape) inRange(i int64) bool {
	if sh.int32 && i != int64(int32(i)) {
		return false
	}
	return (sh.least == nil || float64(i) >= *sh.least) && (sh.most == nil || float64(i) <= *sh.most)
}
