package resolve

import (
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// serviceKind tells what a service can be used for.
type serviceKind int

const (
	clusterService  serviceKind = iota // has cluster addresses: parent and backend
	headlessService                    // endpoints only: backend, never parent
	externalService                    // ExternalName: neither
)

// service is a Service as far as the mesh cares.
type service struct {
	object.Seniority
	kind     serviceKind
	ports    []servicePort
	wanted   []netip.Addr // the cluster addresses that it claims, sorted
	vips     []netip.Addr // those that it holds
	affinity time.Duration
	origin   model.Origin
	problems []*finding.Finding

	balancer // for a Gateway, if any
}

// servicePort is one usable port of a service.
type servicePort struct {
	portKey
	name string
	app  model.AppProtocol
	// encrypted tells that gateways speak TLS to it.
	encrypted bool
}

// portKey tells the ports of a service apart.
type portKey struct {
	port     uint16
	protocol model.Protocol
}

func (p portKey) backend(n object.Name) model.BackendKey {
	return model.BackendKey{Namespace: n.Namespace, Name: n.Name, Port: p.port, Protocol: p.protocol}
}

func (p portKey) frontend(g group) model.FrontendKey {
	return model.FrontendKey{
		Namespace: g.service.Namespace, Name: g.service.Name,
		Port: p.port, Protocol: p.protocol, ClientNamespace: g.scope,
	}
}

func parseService(svc *corev1.Service, obj *source.Object) *service {
	s := &service{Seniority: object.SeniorityOf(svc), origin: obj.Origin}
	s.addAddresses(svc)
	s.addPorts(svc)
	if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		s.affinity = affinityTimeout(svc.Spec.SessionAffinityConfig)
	}
	if p := svc.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		s.problem(finding.UnsupportedValue, "internalTrafficPolicy Local is not honoured yet: connections go to the endpoints of all nodes")
	}
	s.balancer = readBalancer(svc, obj)
	return s
}

func (s *service) addAddresses(svc *corev1.Service) {
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 && svc.Spec.ClusterIP != "" {
		ips = []string{svc.Spec.ClusterIP}
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		s.kind = externalService
		return
	case len(ips) > 0 && ips[0] == corev1.ClusterIPNone:
		s.kind = headlessService
		return
	case len(ips) == 0:
		s.problem(finding.NoAddress, "the Service has no cluster address: give spec.clusterIP one, or None to make it headless")
	}
	for _, ip := range ips {
		a, err := netip.ParseAddr(ip)
		if err != nil || a.Zone() != "" || !usableVIP(a.Unmap()) {
			s.problem(finding.InvalidAddress, "cluster address %q is not a unicast IP address that others can dial", ip)
			continue
		}
		s.wanted = append(s.wanted, a.Unmap())
	}
	slices.SortFunc(s.wanted, netip.Addr.Compare)
	s.wanted = slices.Compact(s.wanted)
}

// usableVIP refuses what means something else in each network namespace, or on
// each link: a service there would take a pod's own connections away.
func usableVIP(a netip.Addr) bool {
	return a.IsGlobalUnicast() && !a.IsLinkLocalUnicast() && !a.IsLoopback()
}

func (s *service) addPorts(svc *corev1.Service) {
	if s.kind == externalService {
		return
	}
	for _, p := range svc.Spec.Ports {
		k := portKey{protocol: model.TCP}
		switch p.Protocol {
		case corev1.ProtocolTCP, "":
		case corev1.ProtocolUDP:
			k.protocol = model.UDP
		default:
			s.problem(finding.UnsupportedProtocol, "port %d speaks %s: only TCP and UDP are handled, other ports are left alone", p.Port, p.Protocol)
			continue
		}
		if p.Port < 1 || p.Port > 65535 {
			s.problem(finding.InvalidPort, "port %d is not between 1 and 65535", p.Port)
			continue
		}
		k.port = uint16(p.Port)
		if s.port(k) != nil {
			s.problem(finding.InvalidPort, "port %d/%s is listed twice: only the first is used", k.port, k.protocol)
			continue
		}
		s.ports = append(s.ports, servicePort{portKey: k, name: p.Name, app: appProtocol(p.AppProtocol)})
	}
}

// port returns the service's port, or nil.
func (s *service) port(k portKey) *servicePort {
	for i := range s.ports {
		if s.ports[i].portKey == k {
			return &s.ports[i]
		}
	}
	return nil
}

func (s *service) problem(reason, format string, args ...any) {
	s.problems = append(s.problems, finding.New(reason, format, args...))
}

func affinityTimeout(c *corev1.SessionAffinityConfig) time.Duration {
	seconds := corev1.DefaultClientIPServiceAffinitySeconds
	if c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		seconds = *c.ClientIP.TimeoutSeconds
	}
	return time.Duration(seconds) * time.Second
}

// appProtocol maps a Service's appProtocol: the names of KEP-3726, the IANA
// service name of HTTP, and the usual names of HTTP/2 and gRPC.
func appProtocol(p *string) model.AppProtocol {
	if p == nil || *p == "" {
		return model.AppAuto
	}
	switch strings.ToLower(*p) {
	case "http":
		return model.AppHTTP
	case "kubernetes.io/h2c", "h2c", "http2":
		return model.AppH2C
	case "grpc":
		return model.AppGRPC
	case "kubernetes.io/ws":
		return model.AppWS
	}
	return model.AppOpaque
}

// updateServices emits the backends of the touched services and marks what
// depends on those that really changed.
func (u *round) updateServices() {
	for n, before := range u.touched {
		s := u.services[n]
		if s != nil {
			s.vips = u.held(s)
			u.encrypt(s)
		}
		u.emitBackends(n, before, s)
		if !sameBackends(before, s) {
			u.endpoints.Add(n)
			for rt := range u.usersOf[n] {
				u.compile.Add(rt)
			}
			for es := range u.slicesOf[n] {
				u.report.Add(es.Ref(object.KindEndpointSlice))
			}
		}
		attach := !sameBackends(before, s) || !sameParent(before, s)
		u.groups.Add(group{service: n})
		for scope := range u.scopesOf[n] {
			g := group{n, scope}
			u.groups.Add(g)
			if attach {
				for rt := range u.boundTo[g] {
					u.attach.Add(rt)
				}
			}
		}
	}
}

func (u *round) held(s *service) []netip.Addr {
	var held []netip.Addr
	for _, a := range s.wanted {
		if u.holders[a] == s.Name {
			held = append(held, a)
		}
	}
	return held
}

// encrypt notes to which ports of a service gateways speak TLS.
func (u *round) encrypt(s *service) {
	for i, p := range s.ports {
		if encrypted := u.encryption(s.Name, p) != nil; encrypted != p.encrypted {
			s.ports = slices.Clone(s.ports) // the state before this round has the old ones
			s.ports[i].encrypted = encrypted
		}
	}
}

func (u *round) emitBackends(n object.Name, before, s *service) {
	if s != nil {
		for _, p := range s.ports {
			k := p.backend(n)
			b := model.Backend{Key: k, AppProtocol: p.app, Affinity: s.affinity, TLS: u.encryption(n, p), Origin: s.origin}
			if was := u.made.Backends[k]; was == nil || !reflect.DeepEqual(*was, b) {
				u.delta.Backends[k] = &b
			}
		}
	}
	if before != nil {
		for _, p := range before.ports {
			if s == nil || s.port(p.portKey) == nil {
				u.delta.Backends[p.backend(n)] = nil
				u.delta.Endpoints[p.backend(n)] = nil
			}
		}
	}
}

// sameBackends reports whether two states of a service look the same to those
// who send to it.
func sameBackends(a, b *service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.kind == b.kind && slices.Equal(a.ports, b.ports)
}

// sameParent reports whether routes attach to two states of a service alike,
// given that [sameBackends] holds.
func sameParent(a, b *service) bool {
	if a == nil || b == nil {
		return a == b
	}
	return (len(a.vips) == 0) == (len(b.vips) == 0)
}
