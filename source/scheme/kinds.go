package scheme

import (
	"cmp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/builtin"
)

// kind is one kind that is read.
type kind struct {
	group, name string
	// version is the one that objects are decoded into.
	version string
	// older are the other versions that the CRD serves. Their fields are the
	// same: the CRDs' conversion strategy is None.
	older []string
	// plural names the CRD; empty for built-in kinds.
	plural string
	// cluster tells that objects have no namespace.
	cluster bool
	new     func() source.KubeObject
	// finish sets the defaults of a built-in kind and checks it.
	finish func(source.KubeObject) []builtin.Fault
}

func (k *kind) apiVersion() string {
	if k.group == "" {
		return k.version
	}
	return k.group + "/" + k.version
}

// namespace is that of an object for which one was given, or none.
func (k *kind) namespace(given string) string {
	if k.cluster {
		return ""
	}
	return cmp.Or(given, metav1.NamespaceDefault)
}

// versions are all that are read.
func (k *kind) versions() []string { return append([]string{k.version}, k.older...) }

const gatewayGroup = "gateway.networking.k8s.io"

// kinds are all that are read, by name. No two share a name.
var kinds = index([]*kind{
	{group: "", name: "Service", version: "v1",
		new:    func() source.KubeObject { return &corev1.Service{} },
		finish: func(o source.KubeObject) []builtin.Fault { return builtin.Service(o.(*corev1.Service)) }},
	{group: "discovery.k8s.io", name: "EndpointSlice", version: "v1",
		new: func() source.KubeObject { return &discoveryv1.EndpointSlice{} },
		finish: func(o source.KubeObject) []builtin.Fault {
			return builtin.EndpointSlice(o.(*discoveryv1.EndpointSlice))
		}},
	{group: "", name: "Secret", version: "v1",
		new:    func() source.KubeObject { return &corev1.Secret{} },
		finish: func(o source.KubeObject) []builtin.Fault { return builtin.Secret(o.(*corev1.Secret)) }},
	{group: "", name: "ConfigMap", version: "v1",
		new:    func() source.KubeObject { return &corev1.ConfigMap{} },
		finish: func(o source.KubeObject) []builtin.Fault { return builtin.ConfigMap(o.(*corev1.ConfigMap)) }},
	{group: "", name: "Namespace", version: "v1", cluster: true,
		new: func() source.KubeObject { return &corev1.Namespace{} }},
	{group: gatewayGroup, name: "GatewayClass", version: "v1", plural: "gatewayclasses", older: []string{"v1beta1"}, cluster: true,
		new: func() source.KubeObject { return &gatewayv1.GatewayClass{} }},
	{group: gatewayGroup, name: "Gateway", version: "v1", plural: "gateways", older: []string{"v1beta1"},
		new: func() source.KubeObject { return &gatewayv1.Gateway{} }},
	{group: gatewayGroup, name: "ListenerSet", version: "v1", plural: "listenersets",
		new: func() source.KubeObject { return &gatewayv1.ListenerSet{} }},
	{group: gatewayGroup, name: "HTTPRoute", version: "v1", plural: "httproutes", older: []string{"v1beta1"},
		new: func() source.KubeObject { return &gatewayv1.HTTPRoute{} }},
	{group: gatewayGroup, name: "GRPCRoute", version: "v1", plural: "grpcroutes",
		new: func() source.KubeObject { return &gatewayv1.GRPCRoute{} }},
	{group: gatewayGroup, name: "TLSRoute", version: "v1", plural: "tlsroutes", older: []string{"v1alpha3", "v1alpha2"},
		new: func() source.KubeObject { return &gatewayv1.TLSRoute{} }},
	{group: gatewayGroup, name: "TCPRoute", version: "v1", plural: "tcproutes", older: []string{"v1alpha2"},
		new: func() source.KubeObject { return &gatewayv1.TCPRoute{} }},
	{group: gatewayGroup, name: "UDPRoute", version: "v1", plural: "udproutes", older: []string{"v1alpha2"},
		new: func() source.KubeObject { return &gatewayv1.UDPRoute{} }},
	{group: gatewayGroup, name: "ReferenceGrant", version: "v1", plural: "referencegrants", older: []string{"v1beta1"},
		new: func() source.KubeObject { return &gatewayv1.ReferenceGrant{} }},
	{group: gatewayGroup, name: "BackendTLSPolicy", version: "v1", plural: "backendtlspolicies", older: []string{"v1alpha3"},
		new: func() source.KubeObject { return &gatewayv1.BackendTLSPolicy{} }},
	{group: "sluice.io", name: "AddressPool", version: "v1alpha1", plural: "addresspools", cluster: true,
		new: func() source.KubeObject { return &v1alpha1.AddressPool{} }},
	{group: "sluice.io", name: "GatewayParameters", version: "v1alpha1", plural: "gatewayparameters", cluster: true,
		new: func() source.KubeObject { return &v1alpha1.GatewayParameters{} }},
	{group: "sluice.io", name: "Workload", version: "v1alpha1", plural: "workloads",
		new: func() source.KubeObject { return &v1alpha1.Workload{} }},
})

func index(list []*kind) map[string]*kind {
	m := make(map[string]*kind, len(list))
	for _, k := range list {
		m[k.name] = k
	}
	return m
}

// unserved are the kinds of our groups that are known and not served yet: not
// an error, but worth a word.
var unserved = map[string][]string{
	"gateway.networking.x-k8s.io": {"XBackend", "XBackendTrafficPolicy", "XMesh"},
}

// groupOf splits an apiVersion.
func groupOf(apiVersion string) (group, version string) {
	if i := strings.LastIndexByte(apiVersion, '/'); i >= 0 {
		return apiVersion[:i], apiVersion[i+1:]
	}
	return "", apiVersion
}
