package gateways

import (
	"fmt"
	"net/netip"
	"strings"
)

const (
	namespace = "bench"
	// markHeader is what routes set on responses, to be told apart.
	markHeader = "X-Mark"
	firstMark  = "start"
	// steadyRoute is the steady client's own, rolling the Service whose pods are replaced.
	steadyRoute = "steady"
	rolling     = "rolling"
)

// Paths of the API.
const (
	gatewaysPath = "/apis/gateway.networking.k8s.io/v1/namespaces/" + namespace + "/gateways"
	routesPath   = "/apis/gateway.networking.k8s.io/v1/namespaces/" + namespace + "/httproutes"
	servicesPath = "/api/v1/namespaces/" + namespace + "/services"
	podsPath     = "/api/v1/namespaces/" + namespace + "/pods"
	slicesPath   = "/apis/discovery.k8s.io/v1/namespaces/" + namespace + "/endpointslices"
)

func gatewayName(i int) string { return fmt.Sprintf("g%d", i) }

// numbered names the i-th route, and its Service.
func numbered(i int) string { return fmt.Sprintf("r%d", i) }

// hostOf is a route's host name.
func hostOf(route string, gateway int) string {
	return fmt.Sprintf("%s.g%d.bench.example", route, gateway)
}

// gatewayOf is the Gateway of the i-th route.
func (c Case) gatewayOf(i int) int { return i % c.Gateways }

func (c Case) hostOf(i int) string { return hostOf(numbered(i), c.gatewayOf(i)) }

// gatewayObject is the i-th Gateway. Several have listeners of different host
// names, as Envoy Gateway can't serve them by one Envoy otherwise.
func (c Case) gatewayObject(i int, class string) string {
	hostname := ""
	if c.Gateways > 1 {
		hostname = fmt.Sprintf(`, "hostname": "*.g%d.bench.example"`, i)
	}
	return fmt.Sprintf(`{
"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": %q},
"spec": {"gatewayClassName": %q, "listeners": [{"name": "http", "port": 80, "protocol": "HTTP"%s}]}}`, gatewayName(i), class, hostname)
}

// routeObject is a route with a host of its own, to one Service.
func routeObject(name string, gateway int, service, mark string) string {
	return fmt.Sprintf(`{
"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": %q},
"spec": {"parentRefs": [{"name": %q}], "hostnames": [%q], "rules": %s}}`,
		name, gatewayName(gateway), hostOf(name, gateway), rules(service, mark))
}

// rules are those of a route: one, which marks responses.
func rules(service, mark string) string {
	return fmt.Sprintf(`[{
"matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
"filters": [{"type": "ResponseHeaderModifier", "responseHeaderModifier": {"set": [{"name": %q, "value": %q}]}}],
"backendRefs": [{"name": %q, "port": 80}]}]`, markHeader, mark, service)
}

// changed is a patch of a route.
func changed(service, mark string) string {
	return fmt.Sprintf(`{"spec": {"rules": %s}}`, rules(service, mark))
}

// serviceObject is a Service whose EndpointSlice is sliceObject: so that
// thousands of them need no pods of their own.
func serviceObject(name string) string {
	return fmt.Sprintf(`{
"apiVersion": "v1", "kind": "Service", "metadata": {"name": %q},
"spec": {"ports": [{"name": "http", "port": 80, "targetPort": 3000}]}}`, name)
}

func sliceObject(service string, pods []netip.Addr) string {
	var endpoints []string
	for _, p := range pods {
		endpoints = append(endpoints, fmt.Sprintf(`{"addresses": [%q], "conditions": {"ready": true}}`, p))
	}
	return fmt.Sprintf(`{
"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
"metadata": {"name": %q, "labels": {"kubernetes.io/service-name": %q, "endpointslice.kubernetes.io/managed-by": "bench"}},
"addressType": "IPv4", "ports": [{"name": "http", "port": 3000, "protocol": "TCP"}], "endpoints": [%s]}`,
		service, service, strings.Join(endpoints, ", "))
}

// backends are two Deployments with Services: one that stays as it is, and one
// whose pods are replaced. They end as Kubernetes asks well-behaved ones to: they
// serve on for a while after they have been asked to end.
func backends() string {
	var all strings.Builder
	for _, name := range []string{"echo", rolling} {
		_, _ = fmt.Fprintf(&all, `---
apiVersion: apps/v1
kind: Deployment
metadata: {namespace: %[1]s, name: %[2]s}
spec:
  replicas: 2
  selector: {matchLabels: {app: %[2]s}}
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  template:
    metadata: {labels: {app: %[2]s}}
    spec:
      terminationGracePeriodSeconds: 20
      containers:
      - name: echo
        image: registry.k8s.io/gateway-api/echo-basic:v1.5.1
        env:
        - {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
        - {name: NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
        readinessProbe: {httpGet: {path: /, port: 3000}, periodSeconds: 1}
        lifecycle: {preStop: {sleep: {seconds: 5}}}
---
apiVersion: v1
kind: Service
metadata: {namespace: %[1]s, name: %[2]s}
spec: {selector: {app: %[2]s}, ports: [{name: http, port: 80, targetPort: 3000}]}
`, namespace, name)
	}
	return all.String()
}
