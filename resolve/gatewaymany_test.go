package resolve_test

import (
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/resolve"
	"sluice.io/sluice/resolve/resolvetest"
	"sluice.io/sluice/source"
)

// TestWorkFollowsTheChangeAmongManyGateways wants an edit to cost the same among
// 2,000 Gateways as among 20, be it of a route or of a Gateway.
func TestWorkFollowsTheChangeAmongManyGateways(t *testing.T) {
	for name, c := range map[string]struct {
		next         func(i int) *source.Object
		hosts, ports int
		free         bool
	}{
		"contender": {free: true, next: func(i int) *source.Object { // for a port that another has
			o := oneOfMany(7, "")
			o.KubeObject.(*gatewayv1.Gateway).Spec.Listeners[0].Name = gatewayv1.SectionName([]string{"a", "b"}[i%2])
			return o
		}},
		"route":   {next: func(i int) *source.Object { return routeOfMany(7, int32(1+i%2)) }, hosts: 1},
		"service": {next: func(i int) *source.Object { return serviceObject(7, []string{"http", "mysql"}[i%2]) }, hosts: 1},
		"address": {next: func(i int) *source.Object { return oneOfMany(7, fmt.Sprintf("192.0.2.%d", 1+i%2)) }, ports: 1},
	} {
		t.Run(name, func(t *testing.T) {
			var counts []float64
			for _, n := range []int{20, 2_000} {
				r := resolve.New()
				r.Update(manyGateways(n, c.free))
				r.Update(asUpdate(c.next(1)))
				i := 0
				counts = append(counts, testing.AllocsPerRun(50, func() {
					d := r.Update(asUpdate(c.next(i))).Delta
					i++
					if len(d.Hosts) != c.hosts || len(d.Ports) != c.ports {
						t.Errorf("%d hosts and %d ports changed", len(d.Hosts), len(d.Ports))
					}
				}))
			}
			if counts[1] > counts[0]*1.1 {
				t.Errorf("an edit takes %.0f allocations among 2,000 Gateways, and %.0f among 20", counts[1], counts[0])
			}
		})
	}
}

// BenchmarkManyGateways changes the weight in one route among n Gateways with a
// route each.
func BenchmarkManyGateways(b *testing.B) {
	for _, n := range []int{10, 100, 1_000, 5_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := resolve.New()
			r.Update(manyGateways(n, false))
			b.ReportAllocs()
			i, start := 0, cpuTime()
			for b.Loop() {
				r.Update(asUpdate(routeOfMany(7, int32(1+i%2))))
				i++
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

// manyGateways are n Gateways, each with a host name and a route, and with an
// address or free of any.
func manyGateways(n int, free bool) resolvetest.Objects {
	class := metav1.ObjectMeta{Name: "sluice"}
	objects := resolvetest.Objects{}
	add := func(all ...*source.Object) {
		for _, o := range all {
			objects[o.Origin.Object] = o
		}
	}
	add(object("GatewayClass", class, &gatewayv1.GatewayClass{ObjectMeta: class, Spec: gatewayv1.GatewayClassSpec{ControllerName: resolve.ControllerName}}))
	for i := range n {
		address := fmt.Sprintf("10.7.%d.%d", i>>8, i&255)
		if free {
			address = ""
		}
		add(oneOfMany(i, address), serviceObject(i, "http"), routeOfMany(i, 1))
	}
	return objects
}

// oneOfMany is Gateway i; without an address it is one of a file, and claims its port
// at all addresses, as all of these do.
func oneOfMany(i int, address string) *source.Object {
	m := metav1.ObjectMeta{Namespace: "edge", Name: fmt.Sprint("g", i)}
	all, host := gatewayv1.NamespacesFromAll, gatewayv1.Hostname(fmt.Sprintf("*.g%d.example.com", i))
	o := object("Gateway", m, &gatewayv1.Gateway{
		ObjectMeta: m,
		Spec: gatewayv1.GatewaySpec{GatewayClassName: "sluice", Listeners: []gatewayv1.Listener{{
			Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType, Hostname: &host,
			AllowedRoutes: &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}},
		}}},
		Status: gatewayv1.GatewayStatus{Addresses: []gatewayv1.GatewayStatusAddress{{Value: address}}},
	})
	if address != "" {
		o.Origin.File = "" // of a cluster, where the status tells addresses
	}
	return o
}

// routeOfMany is the route of Gateway i.
func routeOfMany(i int, weight int32) *source.Object {
	o := routeObject(i, weight)
	rt := o.KubeObject.(*gatewayv1.HTTPRoute)
	namespace := gatewayv1.Namespace("edge")
	rt.Spec.ParentRefs = []gatewayv1.ParentReference{{Namespace: &namespace, Name: gatewayv1.ObjectName(fmt.Sprint("g", i))}}
	rt.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("h.g%d.example.com", i))}
	return o
}
