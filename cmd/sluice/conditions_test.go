package main

import (
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

// TestClusterProblems wants a cluster's status to tell what objects' conditions
// say against them, as a folder's does, and of a listener why it is not served;
// what is so with all of a Gateway is said once.
func TestClusterProblems(t *testing.T) {
	of := func(kind, name string) model.Origin {
		return model.Origin{Object: model.ObjectRef{Kind: kind, Namespace: "shop", Name: name}, Rule: -1}
	}
	waits := model.Condition{Type: "Programmed", Reason: "Pending", Message: "no node's Envoy is ready"}
	st := &clusterStatus{Ready: true, Server: "https://192.0.2.1", Objects: []*model.Status{
		{Origin: of("Gateway", "web"), Conditions: []model.Condition{waits}, Listeners: []model.ListenerStatus{
			{Name: "http", Conditions: []model.Condition{waits}},
			{Name: "twin", Conditions: []model.Condition{
				{Type: "Programmed", Reason: "Invalid", Message: "it conflicts"},
				{Type: "Conflicted", Status: true, Reason: "HostnameConflict", Message: "http came first"},
			}},
		}},
		{Origin: of("HTTPRoute", "cart"), Parents: []model.ParentStatus{{Parent: of("Gateway", "web").Object, Conditions: []model.Condition{
			{Type: "Accepted", Status: true, Reason: "Accepted"},
			{Type: "ResolvedRefs", Reason: "RefNotPermitted", Message: "no ReferenceGrant"},
		}}}},
	}}
	var b strings.Builder
	printClusterStatus(&b, st, false)
	_, rest, _ := strings.Cut(b.String(), "Problems:\n")
	got, _, _ := strings.Cut(rest, "\n\n")
	want := `  Gateway shop/web
      Programmed False, Pending: no node's Envoy is ready
  HTTPRoute shop/cart
      on Gateway shop/web: ResolvedRefs False, RefNotPermitted: no ReferenceGrant
  Gateway shop/web
      on listener twin: Conflicted True, HostnameConflict: http came first`
	if got != want {
		t.Errorf("problems are\n%s\nwant\n%s", got, want)
	}
}
