package kube

import (
	"sync"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/source"
)

// kind is one kind that is watched.
type kind struct {
	name   string
	plural string
	group  string
	// versions are those that are understood, the best first. They have the same
	// fields: the CRDs' conversion strategy is None.
	versions []string
	// namespace is the only one that is watched; empty for all.
	namespace string
	// fields and labels select objects.
	fields, labels string
	// metadata tells that only metadata is watched.
	metadata bool
	new      func() source.KubeObject
	list     runtime.Object
	// trim drops what is never read; nil when there is nothing.
	trim func(source.KubeObject)
	// status tells that Sluice writes statuses of the kind, and bare takes them
	// from a copy, leaving what is read of them; nil when nothing is.
	status bool
	bare   func(source.KubeObject)
}

// custom tells that a CRD defines the kind, so that it may be absent.
func (k *kind) custom() bool {
	return k.group == gatewayGroup || k.group == v1alpha1.GroupVersion.Group
}

func (k *kind) gv(version string) schema.GroupVersion {
	return schema.GroupVersion{Group: k.group, Version: version}
}

const gatewayGroup = gatewayv1.GroupName

// The kinds that are not handed on as they are.
const (
	kindPod       = "Pod"
	kindNamespace = "Namespace"
	kindSecret    = "Secret"
	kindConfigMap = "ConfigMap"
	kindWorkload  = "Workload"

	kindGatewayClass = "GatewayClass"
	kindGateway      = "Gateway"
	kindListenerSet  = "ListenerSet"
)

// KindAgentPod is the kind of agents' pods, for one to whom Pods are those of Envoys.
const KindAgentPod = "AgentPod"

// KindNode is the kind of nodes, which are known by their metadata.
const KindNode = "Node"

// KindNodeReport is the kind in which agents tell what their Envoys reject.
const KindNodeReport = "NodeReport"

// KindDefinition is the kind of CRDs, of which those of the Gateway API are known
// by their release and channel.
const KindDefinition = "CustomResourceDefinition"

// The kinds of copies, for the one that makes them.
const (
	KindSecretCopy    = "SecretCopy"
	KindConfigMapCopy = "ConfigMapCopy"
)

// kindsFor lists what is watched.
func kindsFor(o Options) []*kind {
	all := []*kind{
		{name: "Service", plural: "services", versions: []string{"v1"},
			new: of[corev1.Service], list: &corev1.ServiceList{}, trim: on(trimService(o.Serving != nil))},
		{name: "EndpointSlice", plural: "endpointslices", group: "discovery.k8s.io", versions: []string{"v1"},
			new: of[discoveryv1.EndpointSlice], list: &discoveryv1.EndpointSliceList{}, trim: on(trimEndpointSlice)},
		{name: kindNamespace, plural: "namespaces", versions: []string{"v1"},
			new: of[corev1.Namespace], list: &corev1.NamespaceList{}, trim: on(trimNamespace)},
		{name: "AddressPool", plural: "addresspools", group: v1alpha1.GroupVersion.Group, versions: []string{"v1alpha1"},
			new: of[v1alpha1.AddressPool], list: &v1alpha1.AddressPoolList{}},
		{name: "GatewayParameters", plural: "gatewayparameters", group: v1alpha1.GroupVersion.Group, versions: []string{"v1alpha1"},
			new: of[v1alpha1.GatewayParameters], list: &v1alpha1.GatewayParametersList{}},
	}
	all = append(all, gatewayKinds()...)
	if o.Serving != nil {
		all = append(all, servingPods(kindPod, o.Serving.Namespace, o.Serving.Envoys), servingPods(KindAgentPod, o.Serving.Namespace, o.Serving.Agents), &kind{
			name: KindNode, plural: "nodes", versions: []string{"v1"}, metadata: true,
			new: func() source.KubeObject { return &metav1.PartialObjectMetadata{} }, trim: on(trimNode),
		}, &kind{
			name: KindNodeReport, plural: "nodereports", group: v1alpha1.GroupVersion.Group, versions: []string{"v1alpha1"},
			new: of[v1alpha1.NodeReport], list: &v1alpha1.NodeReportList{},
		}, &kind{
			name: KindDefinition, plural: "customresourcedefinitions", group: "apiextensions.k8s.io", versions: []string{"v1"}, metadata: true,
			new: func() source.KubeObject { return &metav1.PartialObjectMetadata{} }, trim: on(trimDefinition),
		})
	}
	if o.Pods {
		pods := &kind{name: kindPod, plural: "pods", versions: []string{"v1"}, new: of[corev1.Pod], list: &corev1.PodList{}, trim: on(trimPod)}
		if o.OfNode != "" {
			pods.fields = "spec.nodeName=" + o.OfNode
		}
		all = append(all, pods)
	}
	return append(all, documentKinds(o.Copies)...)
}

// servingPods are pods that serve, by where they are and whether they are ready.
func servingPods(name, namespace, labels string) *kind {
	return &kind{
		name: name, plural: "pods", versions: []string{"v1"}, new: of[corev1.Pod], list: &corev1.PodList{}, trim: on(trimServing),
		namespace: namespace, labels: labels,
	}
}

// gatewayKinds are those of the Gateway API.
func gatewayKinds() []*kind {
	kinds := []*kind{
		{name: kindGatewayClass, plural: "gatewayclasses", versions: []string{"v1"}, new: of[gatewayv1.GatewayClass], list: &gatewayv1.GatewayClassList{},
			status: true, bare: on(func(o *gatewayv1.GatewayClass) { o.Status = gatewayv1.GatewayClassStatus{} })},
		{name: kindGateway, plural: "gateways", versions: []string{"v1"}, new: of[gatewayv1.Gateway], list: &gatewayv1.GatewayList{},
			status: true, bare: on(func(o *gatewayv1.Gateway) { o.Status = gatewayv1.GatewayStatus{Addresses: o.Status.Addresses} })},
		{name: kindListenerSet, plural: "listenersets", versions: []string{"v1"}, new: of[gatewayv1.ListenerSet], list: &gatewayv1.ListenerSetList{},
			status: true, bare: on(func(o *gatewayv1.ListenerSet) { o.Status = gatewayv1.ListenerSetStatus{} })},
		{name: "HTTPRoute", plural: "httproutes", versions: []string{"v1", "v1beta1"}, new: of[gatewayv1.HTTPRoute], list: &gatewayv1.HTTPRouteList{},
			status: true, bare: on(func(o *gatewayv1.HTTPRoute) { o.Status = gatewayv1.HTTPRouteStatus{} })},
		{name: "GRPCRoute", plural: "grpcroutes", versions: []string{"v1"}, new: of[gatewayv1.GRPCRoute], list: &gatewayv1.GRPCRouteList{},
			status: true, bare: on(func(o *gatewayv1.GRPCRoute) { o.Status = gatewayv1.GRPCRouteStatus{} })},
		{name: "TLSRoute", plural: "tlsroutes", versions: []string{"v1", "v1alpha3", "v1alpha2"}, new: of[gatewayv1.TLSRoute], list: &gatewayv1.TLSRouteList{},
			status: true, bare: on(func(o *gatewayv1.TLSRoute) { o.Status = gatewayv1.TLSRouteStatus{} })},
		{name: "TCPRoute", plural: "tcproutes", versions: []string{"v1", "v1alpha2"}, new: of[gatewayv1.TCPRoute], list: &gatewayv1.TCPRouteList{},
			status: true, bare: on(func(o *gatewayv1.TCPRoute) { o.Status = gatewayv1.TCPRouteStatus{} })},
		{name: "UDPRoute", plural: "udproutes", versions: []string{"v1", "v1alpha2"}, new: of[gatewayv1.UDPRoute], list: &gatewayv1.UDPRouteList{},
			status: true, bare: on(func(o *gatewayv1.UDPRoute) { o.Status = gatewayv1.UDPRouteStatus{} })},
		{name: "BackendTLSPolicy", plural: "backendtlspolicies", versions: []string{"v1", "v1alpha3"}, new: of[gatewayv1.BackendTLSPolicy], list: &gatewayv1.BackendTLSPolicyList{},
			status: true, bare: on(func(o *gatewayv1.BackendTLSPolicy) { o.Status = gatewayv1.PolicyStatus{} })},
		{name: "ReferenceGrant", plural: "referencegrants", versions: []string{"v1", "v1beta1"}, new: of[gatewayv1.ReferenceGrant], list: &gatewayv1.ReferenceGrantList{}},
	}
	for _, k := range kinds {
		k.group = gatewayGroup
	}
	return kinds
}

// documentKinds are Secrets and ConfigMaps: whole in the namespace of copies, or
// everywhere by their metadata, since a cluster has many and few are meant.
func documentKinds(copies string) []*kind {
	if copies == "" {
		meta := func() source.KubeObject { return &metav1.PartialObjectMetadata{} }
		return []*kind{
			{name: kindSecret, plural: "secrets", versions: []string{"v1"}, metadata: true, new: meta, trim: on(trimDocument)},
			{name: kindConfigMap, plural: "configmaps", versions: []string{"v1"}, metadata: true, new: meta, trim: on(trimDocument)},
		}
	}
	return []*kind{
		{name: kindSecret, plural: "secrets", versions: []string{"v1"}, namespace: copies, new: of[corev1.Secret], list: &corev1.SecretList{}},
		{name: kindConfigMap, plural: "configmaps", versions: []string{"v1"}, namespace: copies, new: of[corev1.ConfigMap], list: &corev1.ConfigMapList{}},
	}
}

// of makes an empty object of a type.
func of[T any, P interface {
	*T
	source.KubeObject
}]() source.KubeObject {
	return P(new(T))
}

// on makes a function of one type one of all: others are left alone.
func on[T source.KubeObject](f func(T)) func(source.KubeObject) {
	return func(o source.KubeObject) {
		if t, ok := o.(T); ok {
			f(t)
		}
	}
}

var allKinds = sync.OnceValue(func() []*kind { return kindsFor(Options{Pods: true, Copies: "any", Serving: &Selection{}}) })
