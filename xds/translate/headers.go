package translate

import (
	"slices"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"sluice.io/sluice/model"
)

// headers is the outcome of header modifiers, one after the other. Envoy removes
// first and then adds, the Gateway API removes last: so what a modifier adds and
// a later step removes is dropped here.
type headers struct {
	adds    []headerAdd
	removes []string
}

type headerAdd struct {
	model.Header
	overwrite bool
}

// then is the headers followed by one more modifier. The receiver is unchanged.
func (h headers) then(m *model.HeaderModifier) headers {
	out := headers{adds: slices.Clone(h.adds), removes: slices.Clone(h.removes)}
	for _, s := range m.Set {
		if !isHost(s.Name) {
			out.drop(s.Name)
			out.adds = append(out.adds, headerAdd{s, true})
		}
	}
	for _, a := range m.Add {
		if !isHost(a.Name) {
			out.adds = append(out.adds, headerAdd{a, false})
		}
	}
	for _, name := range m.Remove {
		if !isHost(name) {
			out.drop(name)
			out.removes = append(out.removes, name)
		}
	}
	return out
}

func (h *headers) drop(name string) {
	h.adds = slices.DeleteFunc(h.adds, func(a headerAdd) bool { return strings.EqualFold(a.Name, name) })
}

func (h headers) envoy() ([]*corev3.HeaderValueOption, []string) {
	var adds []*corev3.HeaderValueOption
	for _, a := range h.adds {
		o := &corev3.HeaderValueOption{
			Header:         &corev3.HeaderValue{Key: a.Name, Value: literal(a.Value)},
			AppendAction:   corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD,
			KeepEmptyValue: a.Value == "",
		}
		if a.overwrite {
			o.AppendAction = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
		}
		adds = append(adds, o)
	}
	return adds, h.removes
}

// literal keeps Envoy from reading a value as a format string.
func literal(value string) string { return strings.ReplaceAll(value, "%", "%%") }
