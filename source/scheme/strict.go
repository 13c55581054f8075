package scheme

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/source/syntax"
)

// checkType compares a decoded value with the Go type that it is to fill, and
// finds unknown fields and values of the wrong type, each with its path. It says
// nothing of null, which leaves a field out.
func checkType(v any, t reflect.Type, path string) []fault {
	c := typeChecker{hidden: t == reflect.TypeFor[corev1.Secret]()}
	c.check(v, t, path)
	return c.faults
}

type typeChecker struct {
	faults []fault
	hidden bool // no value may be told
}

// is says what a value is.
func (c *typeChecker) is(v any) string {
	if !c.hidden {
		return describe(v)
	}
	switch v.(type) {
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case bool:
		return "a boolean"
	case int64, float64:
		return "a number"
	}
	return "text"
}

func (c *typeChecker) fail(path, format string, args ...any) {
	c.faults = append(c.faults, fault{path: path, message: fmt.Sprintf(format, args...)})
}

var unmarshaler = reflect.TypeFor[json.Unmarshaler]()

func (c *typeChecker) check(v any, t reflect.Type, path string) {
	if v == nil {
		return
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if reflect.PointerTo(t).Implements(unmarshaler) {
		c.unmarshal(v, t, path)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		c.object(v, t, path)
	case reflect.Map:
		c.mapping(v, t, path)
	case reflect.Slice:
		c.list(v, t, path)
	default:
		c.basic(v, t, path)
	}
}

// unmarshal tries a type that decodes itself, such as IntOrString or Time.
func (c *typeChecker) unmarshal(v any, t reflect.Type, path string) {
	data, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(data, reflect.New(t).Interface())
	}
	if err != nil {
		c.fail(path, "%s is no valid %s: %v", c.is(v), t.Name(), err)
	}
}

func (c *typeChecker) object(v any, t reflect.Type, path string) {
	m, ok := v.(map[string]any)
	if !ok {
		c.fail(path, "must be a mapping, is %s", c.is(v))
		return
	}
	fields := fieldsOf(t)
	for _, name := range sortedKeys(m) {
		at := syntax.Join(path, name)
		if ft, known := fields[name]; known {
			c.check(m[name], ft, at)
		} else {
			c.fail(at, "unknown field%s", suggest(name, sortedKeys(fields)))
		}
	}
}

func (c *typeChecker) mapping(v any, t reflect.Type, path string) {
	m, ok := v.(map[string]any)
	if !ok {
		c.fail(path, "must be a mapping, is %s", c.is(v))
		return
	}
	for _, name := range sortedKeys(m) {
		c.check(m[name], t.Elem(), path+"["+name+"]")
	}
}

func (c *typeChecker) list(v any, t reflect.Type, path string) {
	if t.Elem().Kind() == reflect.Uint8 {
		c.bytes(v, path)
		return
	}
	items, ok := v.([]any)
	if !ok {
		c.fail(path, "must be a list, is %s", c.is(v))
		return
	}
	for i, item := range items {
		c.check(item, t.Elem(), path+"["+strconv.Itoa(i)+"]")
	}
}

func (c *typeChecker) bytes(v any, path string) {
	text, ok := v.(string)
	if !ok {
		c.fail(path, "must be text in base64, is %s%s", c.is(v), quoteHint(v))
	} else if _, err := base64.StdEncoding.DecodeString(text); err != nil {
		c.fail(path, "must be text in base64, and is not (stringData takes plain text)")
	}
}

func (c *typeChecker) basic(v any, t reflect.Type, path string) {
	switch t.Kind() {
	case reflect.String:
		if _, ok := v.(string); !ok {
			c.fail(path, "must be text, is %s%s", c.is(v), quoteHint(v))
		}
	case reflect.Bool:
		if _, ok := v.(bool); !ok {
			c.fail(path, "must be true or false, is %s", c.is(v))
		}
	case reflect.Int32, reflect.Int64, reflect.Int, reflect.Int16:
		i, ok := v.(int64)
		if !ok {
			c.fail(path, "must be a whole number, is %s", c.is(v))
		} else if reflect.New(t).Elem().OverflowInt(i) {
			c.fail(path, "%d does not fit %d bits", i, t.Bits())
		}
	}
}

// quoteHint helps where YAML took text for something else.
func quoteHint(v any) string {
	switch v.(type) {
	case bool, int64, float64:
		return ": put it in quotes"
	}
	return ""
}

// describe names a value's type, with the value when it is short.
func describe(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case map[string]any:
		return "a mapping"
	case []any:
		return "a list"
	case bool:
		return strconv.FormatBool(v)
	case string:
		if len(v) > 64 {
			v = strings.ToValidUTF8(v[:64], "") + "..."
		}
		return "the text " + strconv.Quote(v)
	case int64, float64:
		return fmt.Sprintf("the number %v", v)
	}
	return fmt.Sprintf("%v", v)
}

// fieldCache keeps fieldsOf's answers.
var fieldCache sync.Map // reflect.Type -> map[string]reflect.Type

// fieldsOf are a struct's fields by their JSON names.
func fieldsOf(t reflect.Type) map[string]reflect.Type {
	if m, ok := fieldCache.Load(t); ok {
		return m.(map[string]reflect.Type)
	}
	m := map[string]reflect.Type{}
	for i := range t.NumField() {
		f := t.Field(i)
		name, opts, _ := strings.Cut(f.Tag.Get("json"), ",")
		switch {
		case name == "-" || !f.IsExported():
		case name == "" && (f.Anonymous || strings.Contains(opts, "inline")):
			for n, ft := range fieldsOf(f.Type) {
				m[n] = ft
			}
		case name == "":
			m[f.Name] = f.Type
		default:
			m[name] = f.Type
		}
	}
	fieldCache.Store(t, m)
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
