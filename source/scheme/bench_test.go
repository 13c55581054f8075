package scheme

import (
	"testing"

	"sluice.io/sluice/source/syntax"
)

const benchRoute = `apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata:
  name: cart
  namespace: shop
spec:
  parentRefs:
  - group: ""
    kind: Service
    name: cart
    port: 80
  rules:
  - name: canary
    matches:
    - path:
        type: PathPrefix
        value: /cart
      headers:
      - name: x-canary
        value: "true"
    filters:
    - type: RequestHeaderModifier
      requestHeaderModifier:
        set:
        - name: x-version
          value: canary
    backendRefs:
    - name: cart-v1
      port: 80
      weight: 90
    - name: cart-v2
      port: 80
      weight: 10
  - backendRefs:
    - name: cart-v1
      port: 80
`

const benchService = `apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec:
  clusterIP: 10.96.0.1
  selector: {app: cart}
  ports:
  - name: http
    port: 80
    targetPort: 8080
    appProtocol: http
`

const benchSlice = `apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: cart-1, namespace: shop, labels: {kubernetes.io/service-name: cart}}
addressType: IPv4
ports: [{name: http, port: 8080}]
endpoints:
- addresses: [10.1.0.1]
- addresses: [10.1.0.2]
`

// BenchmarkDecode is what one object costs, from its text.
func BenchmarkDecode(b *testing.B) {
	for name, text := range map[string]string{"HTTPRoute": benchRoute, "Service": benchService, "EndpointSlice": benchSlice} {
		b.Run(name, func(b *testing.B) {
			d := New()
			d.Decode([]byte(text), syntax.YAML, nil)
			b.ReportAllocs()
			for b.Loop() {
				if items := d.Decode([]byte(text), syntax.YAML, nil); items[0].Object == nil {
					b.Fatal(items[0].Findings)
				}
			}
		})
	}
}

// BenchmarkCompile is what the first object of a kind costs on top.
func BenchmarkCompile(b *testing.B) {
	for b.Loop() {
		if items := New().Decode([]byte(benchRoute), syntax.YAML, nil); items[0].Object == nil {
			b.Fatal(items[0].Findings)
		}
	}
}
