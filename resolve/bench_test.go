package resolve_test

import (
	"fmt"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/resolve/resolvetest"
	"sluice.io/sluice/source"
)

var sizes = []int{100, 1_000, 5_000, 20_000}

// BenchmarkLoad resolves n services, each with a slice of three endpoints and an
// HTTPRoute, all at once.
func BenchmarkLoad(b *testing.B) {
	for _, n := range sizes {
		objects := large(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			start := cpuTime()
			for b.Loop() {
				resolve.New().Update(objects)
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

// BenchmarkRouteEdit changes the weight in one route among n.
func BenchmarkRouteEdit(b *testing.B) {
	edit(b, func(i int) *source.Object { return routeObject(7, int32(1+i%2)) }, 1, 0)
}

// BenchmarkEndpointEdit changes one endpoint of one service among n.
func BenchmarkEndpointEdit(b *testing.B) {
	edit(b, func(i int) *source.Object { return sliceObject(7, 100+i%2) }, 0, 1)
}

// BenchmarkServiceEdit changes the application protocol of one service among n,
// on which one route depends.
func BenchmarkServiceEdit(b *testing.B) {
	protocols := []string{"http", "kubernetes.io/h2c"}
	edit(b, func(i int) *source.Object { return serviceObject(7, protocols[i%2]) }, 1, 0)
}

// edit applies one changed object after the other, and checks that each changes
// so many frontends and endpoints.
func edit(b *testing.B, next func(i int) *source.Object, frontends, endpoints int) {
	for _, n := range sizes {
		objects := large(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := resolve.New()
			r.Update(objects)
			r.Update(asUpdate(next(1)))
			b.ReportAllocs()
			i, start := 0, cpuTime()
			for b.Loop() {
				d := r.Update(asUpdate(next(i))).Delta
				if len(d.Frontends) != frontends || len(d.Endpoints) != endpoints {
					b.Fatalf("%d frontends and %d endpoints changed", len(d.Frontends), len(d.Endpoints))
				}
				i++
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

// cpuTime is the processor time that this process has used: on a machine that
// others use too, it says more than the clock.
func cpuTime() int64 {
	var ru syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &ru) != nil {
		return 0
	}
	return ru.Utime.Nano() + ru.Stime.Nano()
}

// BenchmarkSharedService changes one of n routes that all attach to the same
// port: the one case whose cost grows, since they make one list.
func BenchmarkSharedService(b *testing.B) {
	for _, n := range []int{10, 100, 1_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := resolve.New()
			objects := asUpdate(serviceObject(0, "http"))
			for i := range n {
				objects[routeTo(0, i, 1).Origin.Object] = routeTo(0, i, 1)
			}
			r.Update(objects)
			b.ReportAllocs()
			i, start := 0, cpuTime()
			for b.Loop() {
				r.Update(asUpdate(routeTo(0, n/2, int32(1+i%2))))
				i++
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

func asUpdate(o *source.Object) resolvetest.Objects {
	return resolvetest.Objects{o.Origin.Object: o}
}

func large(n int) resolvetest.Objects {
	objects := resolvetest.Objects{}
	for i := range n {
		for _, o := range []*source.Object{serviceObject(i, "http"), sliceObject(i, 1), routeObject(i, 1)} {
			objects[o.Origin.Object] = o
		}
	}
	return objects
}

func object(kind string, meta metav1.ObjectMeta, o source.KubeObject) *source.Object {
	ref := model.ObjectRef{Kind: kind, Namespace: meta.Namespace, Name: meta.Name}
	return &source.Object{KubeObject: o, Origin: model.Origin{Object: ref, Rule: -1, File: "bench.yaml", Line: 1}}
}

func meta(i int) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: fmt.Sprintf("team-%d", i%50), Name: fmt.Sprintf("svc-%d", i)}
}

func serviceObject(i int, protocol string) *source.Object {
	m := meta(i)
	return object("Service", m, &corev1.Service{ObjectMeta: m, Spec: corev1.ServiceSpec{
		ClusterIP: fmt.Sprintf("10.%d.%d.%d", 96+i>>16, i>>8&255, i&255),
		Ports:     []corev1.ServicePort{{Name: "http", Port: 80, AppProtocol: &protocol}},
	}})
}

func sliceObject(i, last int) *source.Object {
	m := meta(i)
	service := m.Name
	m.Name += "-1"
	m.Labels = map[string]string{discoveryv1.LabelServiceName: service}
	name, port := "http", int32(8080)
	es := &discoveryv1.EndpointSlice{ObjectMeta: m, AddressType: discoveryv1.AddressTypeIPv4,
		Ports: []discoveryv1.EndpointPort{{Name: &name, Port: &port}}}
	for j := range 3 {
		es.Endpoints = append(es.Endpoints, discoveryv1.Endpoint{
			Addresses: []string{fmt.Sprintf("10.%d.%d.%d", 128+i>>14, i>>6&255, i&63<<2+(last+j)%4)},
		})
	}
	return object("EndpointSlice", m, es)
}

func routeObject(i int, weight int32) *source.Object { return routeTo(i, i, weight) }

// routeTo makes route i of a service.
func routeTo(service, i int, weight int32) *source.Object {
	m := meta(service)
	target := gatewayv1.ObjectName(m.Name)
	m.Name = fmt.Sprint("route-", i)
	group, kind, port := gatewayv1.Group(""), gatewayv1.Kind("Service"), int32(80)
	path, prefix := "/v2", gatewayv1.PathMatchPathPrefix
	ref := func(weight int32) gatewayv1.HTTPBackendRef {
		return gatewayv1.HTTPBackendRef{BackendRef: gatewayv1.BackendRef{Weight: &weight,
			BackendObjectReference: gatewayv1.BackendObjectReference{Name: target, Port: &port}}}
	}
	return object("HTTPRoute", m, &gatewayv1.HTTPRoute{ObjectMeta: m, Spec: gatewayv1.HTTPRouteSpec{
		CommonRouteSpec: gatewayv1.CommonRouteSpec{ParentRefs: []gatewayv1.ParentReference{
			{Group: &group, Kind: &kind, Name: target},
		}},
		Rules: []gatewayv1.HTTPRouteRule{
			{Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &prefix, Value: &path}}}, BackendRefs: []gatewayv1.HTTPBackendRef{ref(1)}},
			{BackendRefs: []gatewayv1.HTTPBackendRef{ref(weight)}},
		},
	}})
}
