package resolve_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/features"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/resolve/resolvetest"
	"sluice.io/sluice/source"
)

// TestGatewayWorkFollowsTheChange wants an edit to cost the same on a gateway
// with 5,000 routes as on one with 100, and to change nothing but its own.
func TestGatewayWorkFollowsTheChange(t *testing.T) {
	for name, c := range map[string]struct {
		next     func(i int) *source.Object
		hosts    int
		keyPairs int
	}{
		"route":   {next: func(i int) *source.Object { return hostRoute(7, int32(1+i%2)) }, hosts: 2},
		"secret":  {next: func(i int) *source.Object { return secretObject(i % 2) }, keyPairs: 1},
		"service": {next: func(i int) *source.Object { return serviceObject(7, []string{"http", "mysql"}[i%2]) }, hosts: 2},
	} {
		t.Run(name, func(t *testing.T) {
			var counts []float64
			for _, n := range []int{100, 5_000} {
				r := resolve.New()
				r.Update(edge(n))
				r.Update(asUpdate(c.next(1)))
				i := 0
				counts = append(counts, testing.AllocsPerRun(50, func() {
					d := r.Update(asUpdate(c.next(i))).Delta
					i++
					if len(d.Hosts) != c.hosts || len(d.KeyPairs) != c.keyPairs || len(d.Ports) > 0 {
						t.Errorf("%d hosts, %d key pairs and %d ports changed", len(d.Hosts), len(d.KeyPairs), len(d.Ports))
					}
				}))
			}
			if counts[1] > counts[0]*1.1 {
				t.Errorf("an edit takes %.0f allocations among 5,000 routes, and %.0f among 100", counts[1], counts[0])
			}
		})
	}
}

// BenchmarkHostEdit changes the weight in one of n routes on one gateway, each with
// a host name of its own.
func BenchmarkHostEdit(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := resolve.New()
			r.Update(edge(n))
			b.ReportAllocs()
			i, start := 0, cpuTime()
			for b.Loop() {
				if d := r.Update(asUpdate(hostRoute(7, int32(1+i%2)))).Delta; len(d.Hosts) > 2 {
					b.Fatalf("%d hosts changed", len(d.Hosts))
				}
				i++
			}
			b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
		})
	}
}

// edge is a gateway with an HTTP and an HTTPS listener and n routes.
func edge(n int) resolvetest.Objects {
	objects := resolvetest.Objects{}
	class := metav1.ObjectMeta{Name: "sluice"}
	m := metav1.ObjectMeta{Namespace: "edge", Name: "web"}
	all := gatewayv1.NamespacesFromAll
	admit := &gatewayv1.AllowedRoutes{Namespaces: &gatewayv1.RouteNamespaces{From: &all}}
	for _, o := range []*source.Object{
		object("GatewayClass", class, &gatewayv1.GatewayClass{ObjectMeta: class, Spec: gatewayv1.GatewayClassSpec{ControllerName: resolve.ControllerName}}),
		object("Gateway", m, &gatewayv1.Gateway{ObjectMeta: m, Spec: gatewayv1.GatewaySpec{GatewayClassName: "sluice", Listeners: []gatewayv1.Listener{
			{Name: "http", Port: 80, Protocol: gatewayv1.HTTPProtocolType, AllowedRoutes: admit},
			{Name: "https", Port: 443, Protocol: gatewayv1.HTTPSProtocolType, AllowedRoutes: admit, TLS: &gatewayv1.ListenerTLSConfig{
				CertificateRefs: []gatewayv1.SecretObjectReference{{Name: "cert"}},
			}},
		}}}),
		secretObject(0),
	} {
		objects[o.Origin.Object] = o
	}
	for i := range n {
		for _, o := range []*source.Object{serviceObject(i, "http"), hostRoute(i, 1)} {
			objects[o.Origin.Object] = o
		}
	}
	return objects
}

// hostRoute makes route i of the gateway, with a host name of its own.
func hostRoute(i int, weight int32) *source.Object {
	o := routeObject(i, weight)
	rt := o.KubeObject.(*gatewayv1.HTTPRoute)
	namespace := gatewayv1.Namespace("edge")
	rt.Spec.ParentRefs = []gatewayv1.ParentReference{{Namespace: &namespace, Name: "web"}}
	rt.Spec.Hostnames = []gatewayv1.Hostname{gatewayv1.Hostname(fmt.Sprintf("host-%d.example.com", i))}
	return o
}

// secretObject makes one of several certificates for the gateway.
func secretObject(i int) *source.Object {
	text := fmt.Sprintf("kind: Secret\nmetadata: {namespace: edge, name: cert}\nstringData: {tls.crt: '@certificate %d', tls.key: '@key %d'}\n", i, i)
	objects, err := resolvetest.Parse("cert.yaml", []byte(text))
	if err != nil {
		panic(err)
	}
	for _, o := range objects {
		if _, ok := o.KubeObject.(*corev1.Secret); ok {
			return o
		}
	}
	return nil
}

// TestSupportedFeatures wants the features that a GatewayClass tells to be all
// that the Gateway API has for gateways, sorted.
func TestSupportedFeatures(t *testing.T) {
	var want []string
	for _, f := range features.AllFeatures.UnsortedList() {
		if !strings.HasPrefix(string(f.Name), "Mesh") {
			want = append(want, string(f.Name))
		}
	}
	slices.Sort(want)
	res := resolve.New().Update(edge(0))
	for ref, st := range res.Statuses {
		if ref.Kind != "GatewayClass" {
			continue
		}
		if !slices.Equal(st.Features, want) {
			t.Errorf("features:\ngot  %q\nwant %q", st.Features, want)
		}
		return
	}
	t.Error("the GatewayClass has no status")
}

// TestCrowdedPort wants the misdirected hosts of a port with many HTTPS listeners
// to grow with their number, not with its square, and listeners within others to
// be known all the same.
func TestCrowdedPort(t *testing.T) {
	hosts := func(n int) map[model.HostKey]*model.Host {
		var text strings.Builder
		text.WriteString("kind: Gateway\nmetadata: {namespace: edge, name: web}\nspec:\n  gatewayClassName: sluice\n  listeners:\n")
		listener := func(name, host string) {
			fmt.Fprintf(&text, "  - {name: %s, port: 443, protocol: HTTPS, hostname: %q, tls: {certificateRefs: [{name: cert}]}}\n", name, host)
		}
		listener("wild", "*.example.com")
		for i := range n {
			listener(fmt.Sprint("l", i), fmt.Sprintf("h%d.example.com", i))
		}
		objects, err := resolvetest.Parse("web.yaml", []byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		all := edge(0)
		maps.Copy(all, objects)
		return resolve.New().Update(all).Delta.Hosts
	}
	if few := hosts(9); len(few) != 10*10 {
		t.Errorf("10 listeners have %d hosts, want one for each domain of each", len(few))
	}
	many := hosts(300)
	port := model.PortKey{Gateway: model.GatewayKey{Namespace: "edge", Name: "web"}, Port: 443, Protocol: model.TCP}
	// Each has its own and the rest; the wildcard has the 300 within, too.
	if len(many) != 301*2+300 {
		t.Errorf("301 listeners have %d hosts", len(many))
	}
	for _, k := range []model.HostKey{{Port: port, Chain: "l7", Domain: "*"}, {Port: port, Chain: "wild", Domain: "h7.example.com"}} {
		if h := many[k]; h == nil || !h.Misdirected {
			t.Errorf("%s: %+v, want 421", k, h)
		}
	}
}
