package object

import (
	"reflect"

	"k8s.io/apimachinery/pkg/runtime"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// ContentOf is an object as the API server has it, to be compared with what we
// apply; nil when there is nothing to compare.
func ContentOf(obj source.KubeObject) map[string]any {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(obj)
	if err != nil {
		return nil // of a type of the API: it can be
	}
	return content
}

// drifted tells that an object is no longer what we applied: somebody else
// changed it. What others added is left to them, except to lists.
func drifted(ref model.ObjectRef, have, want map[string]any) bool {
	for field, value := range want {
		switch {
		case field == "apiVersion" || field == "kind":
		case field == "metadata":
			meta, _ := value.(map[string]any)
			live, _ := have[field].(map[string]any)
			if !covers(live["labels"], meta["labels"]) || !covers(live["annotations"], meta["annotations"]) {
				return true
			}
		case field == "spec" && ref.Kind == "Service":
			spec, _ := have[field].(map[string]any)
			if !covers(onlyPorts(spec, value), value) {
				return true
			}
		case !covers(have[field], value):
			return true
		}
	}
	return false
}

// onlyPorts is a Service's spec with those of its ports that are wanted: more of
// them are others'.
func onlyPorts(spec map[string]any, want any) map[string]any {
	wanted := map[[2]any]bool{}
	for _, p := range portsIn(want) {
		wanted[portKey(p)] = true
	}
	now := map[string]any{}
	for k, v := range spec {
		now[k] = v
	}
	ports := []any{}
	for _, p := range portsIn(spec) {
		if wanted[portKey(p)] {
			ports = append(ports, p)
		}
	}
	now["ports"] = ports
	return now
}

func portsIn(spec any) []any {
	fields, _ := spec.(map[string]any)
	ports, _ := fields["ports"].([]any)
	return ports
}

func portKey(port any) [2]any {
	fields, _ := port.(map[string]any)
	return [2]any{fields["port"], fields["protocol"]}
}

// covers tells that all that is wanted is there. What is wanted empty is not to be
// there.
func covers(have, want any) bool {
	switch w := want.(type) {
	case map[string]any:
		h, _ := have.(map[string]any)
		if len(w) == 0 {
			return len(h) == 0
		}
		for k, v := range w {
			if !covers(h[k], v) {
				return false
			}
		}
		return true
	case []any:
		h, _ := have.([]any)
		if len(h) != len(w) {
			return false
		}
		for i := range w {
			if !covers(h[i], w[i]) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(have, want)
}
