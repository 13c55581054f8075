// Package backend reads what connections can go to: Services with their addresses
// and ports, and EndpointSlices.
//
// It owns which of their values can be used, and how the slices of a Service
// become its endpoints. It must not know who sends there, nor which of the Services
// that claim one address has it.
package backend

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

// Kind tells what a service can be used for.
type Kind int

// The kinds of Services.
const (
	Cluster  Kind = iota // has cluster addresses: parent and backend
	Headless             // endpoints only: backend, never parent
	External             // ExternalName: neither
)

// Service is a Service as it was given.
type Service struct {
	object.Seniority
	Kind      Kind
	Ports     []Port
	Addresses []netip.Addr // the cluster addresses that it claims, sorted
	Affinity  time.Duration
	Origin    model.Origin
	Problems  []*finding.Finding

	Balancer // for a Gateway, if any
}

// Port is one usable port of a service.
type Port struct {
	PortKey
	Name string
	App  model.AppProtocol
}

// PortKey tells the ports of a service apart.
type PortKey struct {
	Port     uint16
	Protocol model.Protocol
}

// Backend is the key of a service's port.
func (p PortKey) Backend(n object.Name) model.BackendKey {
	return model.BackendKey{Namespace: n.Namespace, Name: n.Name, Port: p.Port, Protocol: p.Protocol}
}

// ReadService reads a Service.
func ReadService(svc *corev1.Service, obj *source.Object) *Service {
	s := &Service{Seniority: object.SeniorityOf(svc), Origin: obj.Origin}
	s.addAddresses(svc)
	s.addPorts(svc)
	if svc.Spec.SessionAffinity == corev1.ServiceAffinityClientIP {
		s.Affinity = affinityTimeout(svc.Spec.SessionAffinityConfig)
	}
	if p := svc.Spec.InternalTrafficPolicy; p != nil && *p == corev1.ServiceInternalTrafficPolicyLocal {
		s.problem(finding.UnsupportedValue, "internalTrafficPolicy Local is not honoured yet: connections go to the endpoints of all nodes")
	}
	s.Balancer = readBalancer(svc, obj)
	return s
}

func (s *Service) addAddresses(svc *corev1.Service) {
	ips := svc.Spec.ClusterIPs
	if len(ips) == 0 && svc.Spec.ClusterIP != "" {
		ips = []string{svc.Spec.ClusterIP}
	}
	switch {
	case svc.Spec.Type == corev1.ServiceTypeExternalName:
		s.Kind = External
		return
	case len(ips) > 0 && ips[0] == corev1.ClusterIPNone:
		s.Kind = Headless
		return
	case len(ips) == 0:
		s.problem(finding.NoAddress, "the Service has no cluster address: give spec.clusterIP one, or None to make it headless")
	}
	for _, ip := range ips {
		a, ok := object.Address(ip)
		if !ok {
			s.problem(finding.InvalidAddress, "cluster address %q is not a unicast IP address that others can dial", ip)
			continue
		}
		s.Addresses = append(s.Addresses, a)
	}
	slices.SortFunc(s.Addresses, netip.Addr.Compare)
	s.Addresses = slices.Compact(s.Addresses)
}

func (s *Service) addPorts(svc *corev1.Service) {
	if s.Kind == External {
		return
	}
	for _, p := range svc.Spec.Ports {
		k := PortKey{Protocol: model.TCP}
		switch p.Protocol {
		case corev1.ProtocolTCP, "":
		case corev1.ProtocolUDP:
			k.Protocol = model.UDP
		default:
			s.problem(finding.UnsupportedProtocol, "port %d speaks %s: only TCP and UDP are handled, other ports are left alone", p.Port, p.Protocol)
			continue
		}
		if p.Port < 1 || p.Port > 65535 {
			s.problem(finding.InvalidPort, "port %d is not between 1 and 65535", p.Port)
			continue
		}
		k.Port = uint16(p.Port)
		if s.Port(k) != nil {
			s.problem(finding.InvalidPort, "port %d/%s is listed twice: only the first is used", k.Port, k.Protocol)
			continue
		}
		s.Ports = append(s.Ports, Port{PortKey: k, Name: p.Name, App: appProtocol(p.AppProtocol)})
	}
}

// Port returns the service's port, or nil.
func (s *Service) Port(k PortKey) *Port {
	for i := range s.Ports {
		if s.Ports[i].PortKey == k {
			return &s.Ports[i]
		}
	}
	return nil
}

func (s *Service) problem(reason, format string, args ...any) {
	s.Problems = append(s.Problems, finding.New(reason, format, args...))
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
