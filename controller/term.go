package controller

import (
	"maps"
	"net/netip"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/controller/object"
	"sluice.io/sluice/controller/pool"
	"sluice.io/sluice/controller/status"
	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/health"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/kube"
)

// term is the work of one leader. What is not said to be shared belongs to the
// goroutine that calls change.
type term struct {
	c        *Controller
	source   *kube.Source
	resolver *resolve.Resolver
	mesh     *model.Mesh
	statuses *status.Statuses // shared
	objects  *object.Objects  // shared
	pulse    health.Pulse     // shared: of the goroutine that calls change
	read     atomic.Bool      // shared: the cluster has been read

	classes      map[string]*gatewayv1.GatewayClass
	gateways     map[model.GatewayKey]*gatewayv1.Gateway
	listenerSets map[model.ObjectRef]*gatewayv1.ListenerSet
	accepted     map[model.ObjectRef]bool // ListenerSets
	services     map[model.ObjectRef]*corev1.Service
	slices       map[model.ObjectRef]sliceOf
	servicesOf   index[model.GatewayKey, model.ObjectRef]
	owners       map[model.ObjectRef]model.GatewayKey // of the Services that are ours
	slicesOf     index[model.ObjectRef, model.ObjectRef]
	leads        map[model.ObjectRef]map[nodePort]bool // slices of ours, to what they lead to
	strays       map[model.ObjectRef]sliceOf           // of Kubernetes' own
	straysOf     index[model.ObjectRef, model.ObjectRef]
	others       index[model.ObjectRef, model.ObjectRef]  // others' slices, by the Service that one of the name would be for
	made         index[model.GatewayKey, model.ObjectRef] // what is to be there for a Gateway
	maker        map[model.ObjectRef]model.GatewayKey     // the inverse
	namesakes    index[model.ObjectRef, model.GatewayKey] // Gateways that need a Service of that name
	setsOf       index[model.GatewayKey, model.ObjectRef] // ListenerSets
	usersOf      index[string, model.GatewayKey]          // of classes
	fronts       map[model.GatewayKey]*front              // of our classes
	said         map[model.ObjectRef]*model.Status        // of Gateways and ListenerSets, by resolve
	partings     map[model.GatewayKey]*status.Farewell    // of those that are no longer served
	parameters   map[string]*v1alpha1.GatewayParameters
	reports      map[string]*v1alpha1.NodeReport // by node
	nodes        *nodes
	ports        *ports
	pools        *pool.Pools
	answers      map[netip.Addr]v1alpha1.AddressAssignment // for addresses of pools
	copies       *copies
	waits        index[model.ObjectRef, model.GatewayKey] // for copies, by their originals

	dirty   map[model.GatewayKey]bool
	holds   map[string]bool           // classes that are used more, or less
	due     map[model.GatewayKey]bool // those whose statuses may change
	all     bool                      // every Gateway is
	agents  bool                      // nodes' agents have come or gone
	orphans map[model.ObjectRef]bool  // Services whose slices changed
}

// index maps keys to sets.
type index[K, V comparable] map[K]map[V]bool

func (x index[K, V]) add(k K, v V) {
	if x[k] == nil {
		x[k] = map[V]bool{}
	}
	x[k][v] = true
}

func (x index[K, V]) remove(k K, v V) {
	if delete(x[k], v); len(x[k]) == 0 {
		delete(x, k)
	}
}

// The kinds that the controller tells apart.
const (
	kindGatewayClass  = "GatewayClass"
	kindGateway       = "Gateway"
	kindListenerSet   = "ListenerSet"
	kindService       = "Service"
	kindEndpointSlice = "EndpointSlice"
	kindPod           = "Pod"
	kindSecret        = "Secret"
	kindConfigMap     = "ConfigMap"
	kindAddressPool   = "AddressPool"
	kindParameters    = "GatewayParameters"
)

// resources are those of the kinds that we make.
var resources = map[string]schema.GroupVersionResource{
	kindService:            corev1.SchemeGroupVersion.WithResource("services"),
	kindEndpointSlice:      discoveryv1.SchemeGroupVersion.WithResource("endpointslices"),
	kindGatewayClass:       schema.GroupVersion(gatewayv1.GroupVersion).WithResource("gatewayclasses"),
	kindAddressPool:        v1alpha1.GroupVersion.WithResource("addresspools"),
	kube.KindSecretCopy:    corev1.SchemeGroupVersion.WithResource("secrets"),
	kube.KindConfigMapCopy: corev1.SchemeGroupVersion.WithResource("configmaps"),
}

func newTerm(c *Controller) (*term, error) {
	statuses := status.NewStatuses(status.Config{Client: c.client, Urgent: urgent, Writes: c.metrics.writes, Log: c.log.With("part", "status"), Manager: object.Manager})
	t := &term{
		c: c, resolver: resolve.New(), mesh: model.NewMesh(), statuses: statuses, objects: object.NewObjects(object.Config{
			Client: c.client, Resources: resources, Urgent: urgent, Trouble: statuses.Trouble, Writes: c.metrics.writes, Log: c.log.With("part", "objects"),
		}),
		classes: map[string]*gatewayv1.GatewayClass{}, gateways: map[model.GatewayKey]*gatewayv1.Gateway{},
		listenerSets: map[model.ObjectRef]*gatewayv1.ListenerSet{}, accepted: map[model.ObjectRef]bool{},
		services: map[model.ObjectRef]*corev1.Service{}, slices: map[model.ObjectRef]sliceOf{}, leads: map[model.ObjectRef]map[nodePort]bool{},
		waits:      index[model.ObjectRef, model.GatewayKey]{},
		servicesOf: index[model.GatewayKey, model.ObjectRef]{}, owners: map[model.ObjectRef]model.GatewayKey{}, slicesOf: index[model.ObjectRef, model.ObjectRef]{},
		made: index[model.GatewayKey, model.ObjectRef]{}, setsOf: index[model.GatewayKey, model.ObjectRef]{}, orphans: map[model.ObjectRef]bool{},
		strays: map[model.ObjectRef]sliceOf{}, straysOf: index[model.ObjectRef, model.ObjectRef]{}, others: index[model.ObjectRef, model.ObjectRef]{},
		maker: map[model.ObjectRef]model.GatewayKey{}, namesakes: index[model.ObjectRef, model.GatewayKey]{},
		fronts: map[model.GatewayKey]*front{}, said: map[model.ObjectRef]*model.Status{}, partings: map[model.GatewayKey]*status.Farewell{},
		usersOf: index[string, model.GatewayKey]{}, holds: map[string]bool{}, due: map[model.GatewayKey]bool{},
		reports: map[string]*v1alpha1.NodeReport{}, answers: map[netip.Addr]v1alpha1.AddressAssignment{},
		parameters: map[string]*v1alpha1.GatewayParameters{}, dirty: map[model.GatewayKey]bool{},
	}
	t.nodes, t.ports, t.pools, t.copies = newNodes(), newPorts(), pool.New(c.log), &copies{in: c.opts.Copies, objects: t.objects}
	var err error
	t.source, err = kube.New(kube.Options{
		Config: c.opts.Config, Live: t.statuses.See, Beat: t.pulse.Beat, Controller: Name, CopiesIn: c.opts.Copies, Log: c.log.With("part", "source"),
		Serving: &kube.Selection{Namespace: c.opts.Namespace, Envoys: c.opts.EnvoyPods, Agents: c.opts.AgentPods},
	})
	if err != nil {
		return nil, err
	}
	t.copies.unread, statuses.Resource = t.source.Unread, t.source.Resource
	return t, nil
}

// change works a batch in.
func (t *term) change(b source.Batch) {
	began := time.Now()
	t.read.Store(true)
	r := t.resolver.Update(b.Changed)
	t.mesh.Apply(r.Delta)
	for ref, obj := range b.Changed {
		t.take(ref, obj)
	}
	t.report(b.Changed, r.Statuses)
	for ref := range r.Delta.KeyPairs {
		t.copies.due(ref)
	}
	for ref := range r.Delta.Bundles {
		t.copies.due(ref)
	}
	t.holdClasses()
	t.provision()
	t.judge()
	t.copies.settle(t.mesh, t.users)
	t.objects.Begin()
	t.c.metrics.batches.Inc()
	t.c.metrics.resolve.Observe(time.Since(began).Seconds())
}

// take notes an object's new state.
func (t *term) take(ref model.ObjectRef, obj *source.Object) {
	switch ref.Kind {
	case kindGatewayClass:
		t.takeClass(ref.Name, as[*gatewayv1.GatewayClass](obj))
	case kindGateway:
		t.takeGateway(model.GatewayKey{Namespace: ref.Namespace, Name: ref.Name}, as[*gatewayv1.Gateway](obj))
	case kindListenerSet:
		if was := t.listenerSets[ref]; was != nil {
			t.dirtyParent(was)
			t.setsOf.remove(parentOf(was), ref)
		}
		keep(t.listenerSets, ref, as[*gatewayv1.ListenerSet](obj))
		if now := t.listenerSets[ref]; now != nil {
			t.dirtyParent(now)
			t.setsOf.add(parentOf(now), ref)
		}
	case kindService:
		t.takeService(ref, as[*corev1.Service](obj))
	case kindEndpointSlice:
		t.takeSlice(ref, as[*discoveryv1.EndpointSlice](obj))
	case kindPod:
		t.all = t.nodes.change(ref, as[*corev1.Pod](obj)) || t.all
	case kube.KindAgentPod:
		t.agents = t.nodes.agent(ref, as[*corev1.Pod](obj)) || t.agents
	case kube.KindNode:
		t.all = t.nodes.label(ref.Name, labelsOf(obj)) || t.all
	case kube.KindNodeReport:
		t.takeReport(ref.Name, as[*v1alpha1.NodeReport](obj))
	case kindParameters:
		keep(t.parameters, ref.Name, as[*v1alpha1.GatewayParameters](obj))
		t.all = true
	case kindAddressPool:
		t.takePool(ref, as[*v1alpha1.AddressPool](obj))
	case kube.KindSecretCopy, kube.KindConfigMapCopy:
		t.copies.see(ref, obj)
		original := t.copies.there[ref]
		maps.Copy(t.due, t.waits[original])
		delete(t.waits, original)
	}
}

// report has statuses brought in line with what was resolved. Those of Gateways
// and ListenerSets wait until they are provisioned.
func (t *term) report(changed map[model.ObjectRef]*source.Object, said map[model.ObjectRef]*model.Status) {
	for ref, st := range said {
		switch ref.Kind {
		case kindListenerSet:
			t.acceptListenerSet(ref, st)
			fallthrough
		case kindGateway:
			if was := t.said[ref]; accepted(was) != accepted(st) {
				t.dirty[model.GatewayKey{Namespace: ref.Namespace, Name: ref.Name}] = true
			}
			keep(t.said, ref, st)
			t.judgeLater(ref)
		default:
			if _, done := changed[ref]; !done && hasStatus(ref.Kind) {
				t.statuses.Want(ref, func(w *status.Wish) { w.Status = st })
			}
		}
	}
	for ref, obj := range changed {
		switch {
		case !hasStatus(ref.Kind):
		case obj == nil:
			delete(t.said, ref)
			t.statuses.Forget(ref)
		case ref.Kind == kindGateway || ref.Kind == kindListenerSet:
			t.judgeLater(ref)
		default:
			st, news := said[ref]
			t.statuses.Want(ref, func(w *status.Wish) {
				w.Generation = obj.GetGeneration()
				if news {
					w.Status = st
				}
			})
		}
	}
}

// judgeLater notes that the statuses of a Gateway, or of a ListenerSet's, may change.
func (t *term) judgeLater(ref model.ObjectRef) {
	if ref.Kind == kindGateway {
		t.due[model.GatewayKey{Namespace: ref.Namespace, Name: ref.Name}] = true
	} else if s := t.listenerSets[ref]; s != nil {
		t.due[parentOf(s)] = true
	}
}

// acceptListenerSet notes whether the ports of a ListenerSet are its Gateway's.
func (t *term) acceptListenerSet(ref model.ObjectRef, st *model.Status) {
	now := accepted(st)
	if t.accepted[ref] == now {
		return
	}
	if now {
		t.accepted[ref] = true
	} else {
		delete(t.accepted, ref)
	}
	t.dirtyParent(t.listenerSets[ref])
}

// accepted tells that resolve accepted a Gateway or a ListenerSet.
func accepted(st *model.Status) bool {
	c := st.Condition(string(gatewayv1.GatewayConditionAccepted))
	return c != nil && c.Status
}

func (t *term) dirtyParent(s *gatewayv1.ListenerSet) {
	if s != nil {
		t.dirty[parentOf(s)], t.due[parentOf(s)] = true, true
	}
}

// parentOf is the Gateway of a ListenerSet.
func parentOf(s *gatewayv1.ListenerSet) model.GatewayKey {
	k := model.GatewayKey{Namespace: s.Namespace, Name: string(s.Spec.ParentRef.Name)}
	if n := s.Spec.ParentRef.Namespace; n != nil {
		k.Namespace = string(*n)
	}
	return k
}

// hasStatus tells whether we write statuses of a kind.
func hasStatus(kind string) bool {
	switch kind {
	case kindGatewayClass, kindGateway, kindListenerSet, "HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute", "BackendTLSPolicy":
		return true
	}
	return false
}

// as is an object's content as a type; nil when it is gone.
func as[T any](obj *source.Object) T {
	var none T
	if obj == nil {
		return none
	}
	t, _ := obj.KubeObject.(T)
	return t
}

// keep sets a map's value, or deletes it when that is nil.
func keep[K comparable, T any](m map[K]*T, k K, v *T) {
	if v == nil {
		delete(m, k)
	} else {
		m[k] = v
	}
}
