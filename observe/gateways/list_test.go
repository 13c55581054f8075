package gateways_test

import (
	"encoding/json"
	"slices"
	"testing"

	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/gateways"
	"sluice.io/sluice/resolve/resolvetest"
)

const objects = `kind: GatewayClass
metadata: {name: sluice}
spec: {controllerName: sluice.io/gateway-controller}
---
kind: Gateway
metadata: {name: web, namespace: edge}
spec:
  gatewayClassName: sluice
  allowedListeners: {namespaces: {from: All}}
  listeners:
  - {name: all, port: 80, protocol: HTTP}
  - {name: shops, port: 80, protocol: HTTP, hostname: "*.shop.example"}
  - {name: one, port: 80, protocol: HTTP, hostname: one.shop.example}
  - {name: wrong, port: 80, protocol: HTTP, hostname: two.shop.example, allowedRoutes: {kinds: [{kind: UDPRoute}]}}
---
kind: ListenerSet
metadata: {name: more, namespace: shop}
spec:
  parentRef: {name: web, namespace: edge}
  listeners: [{name: tls, port: 443, protocol: TLS, tls: {mode: Passthrough}}]
---
apiVersion: v1
kind: Service
metadata: {name: cart, namespace: edge}
spec: {clusterIP: 10.96.0.8, ports: [{port: 80}]}
---
kind: HTTPRoute
metadata: {name: cart, namespace: edge}
spec:
  parentRefs: [{name: web}]
  hostnames: [one.shop.example, two.shop.example, elsewhere.example]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
---
kind: HTTPRoute
metadata: {name: stranger, namespace: shop}
spec:
  parentRefs: [{name: web, namespace: edge, sectionName: all}]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
---
kind: TLSRoute
metadata: {name: db, namespace: shop}
spec:
  parentRefs: [{kind: ListenerSet, name: more}]
  hostnames: [db.example]
  rules: [{backendRefs: [{name: cart, port: 80}]}]
`

// TestHostsBelongToListeners proves that each host stands with the listener that
// serves it, also where several share a chain and positions do not tell them
// apart.
func TestHostsBelongToListeners(t *testing.T) {
	parsed, err := resolvetest.Parse("all.yaml", []byte(objects))
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range parsed {
		o.RuleLines = nil
	}
	all := gateways.List(resolvetest.Mesh(parsed))
	if len(all) != 1 || all[0].Key.Name != "web" {
		t.Fatalf("gateways %v, want one", all)
	}
	g := all[0]
	got := map[string][]string{}
	for _, l := range g.Listeners {
		got[l.Of.Name+"/"+l.Name] = l.Hosts
	}
	want := map[string][]string{
		"web/all": {"elsewhere.example"}, "web/shops": {"two.shop.example"}, "web/one": {"one.shop.example"}, "web/wrong": nil, "more/tls": {"db.example"},
	}
	if a, b := text(t, got), text(t, want); a != b {
		t.Errorf("hosts are %s, want %s", a, b)
	}
	if len(g.Refused) != 1 || g.Refused[0].Route.Object.Name != "stranger" || g.Refused[0].Condition.Reason != "NotAllowedByListeners" || g.Refused[0].Section != "all" {
		t.Errorf("refused are %s, want the stranger", text(t, g.Refused))
	}
	if len(g.Ports) != 2 || g.Ports[1].Port != 443 || g.Ports[1].Protocol != model.TCP {
		t.Errorf("ports are %s, want 80 and 443", text(t, g.Ports))
	}
}

func TestWider(t *testing.T) {
	for _, c := range []struct {
		host string
		want []string
	}{
		{"a.b.example", []string{"a.b.example", "*.b.example", "*.example", "*"}},
		{"*.b.example", []string{"*.b.example", "*.example", "*"}},
		{"localhost", []string{"localhost", "*"}},
		{"", []string{"", "*"}},
	} {
		got := gateways.Wider(c.host)
		if !slices.Equal(got, c.want) {
			t.Errorf("wider than %q are %q, want %q", c.host, got, c.want)
		}
		for _, d := range got {
			if !gateways.Covers(d, c.host) {
				t.Errorf("%q does not cover %q", d, c.host)
			}
		}
	}
	if gateways.Covers("*.b.example", "b.example") || gateways.Covers("*.b.example", "ab.example") {
		t.Error("a wildcard stands for one label at least")
	}
}

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
