package kube

import (
	"reflect"
	"testing"
)

// TestWhatIsWatchedCanBeDecoded: a kind without a type is waited for without end, by
// whoever reads it.
func TestWhatIsWatchedCanBeDecoded(t *testing.T) {
	for reader, o := range map[string]Options{
		"an agent":       {Pods: true, OfNode: "node1", Copies: "copies"},
		"the controller": {Serving: &Selection{Namespace: "system", Envoys: "app=envoy", Agents: "app=agent"}, CopiesIn: "copies"},
		"a user":         {Pods: true, Partial: true},
	} {
		for _, k := range kindsFor(o) {
			if k.metadata {
				continue
			}
			for _, version := range k.versions {
				obj, err := types().New(k.gv(version).WithKind(k.name))
				if err != nil || reflect.TypeOf(obj) != reflect.TypeOf(k.new()) {
					t.Errorf("%s reads %s: it becomes a %T: %v", reader, k.gv(version).WithKind(k.name), obj, err)
				}
				if list, err := types().New(k.gv(version).WithKind(k.name + "List")); err != nil || reflect.TypeOf(list) != reflect.TypeOf(k.list) {
					t.Errorf("%s reads lists of %s: they become a %T: %v", reader, k.gv(version).WithKind(k.name), list, err)
				}
			}
		}
	}
}
