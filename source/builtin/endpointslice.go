package builtin

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// The API server's bounds on a slice.
const (
	maxEndpoints  = 1000
	maxAddresses  = 100
	maxSlicePorts = 20000
)

// EndpointSlice sets an EndpointSlice's defaults, and checks it.
func EndpointSlice(s *discoveryv1.EndpointSlice) []Fault {
	var fs faults
	for i := range s.Ports {
		p := &s.Ports[i]
		orNewValue(&p.Name, "")
		orNewValue(&p.Protocol, corev1.ProtocolTCP)
	}
	if s.AddressType == "" {
		fs.add("addressType", "is required: one of IPv4, IPv6, FQDN")
	} else {
		oneOf(&fs, "addressType", s.AddressType,
			discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6, discoveryv1.AddressTypeFQDN)
	}
	bounded(&fs, "endpoints", len(s.Endpoints), maxEndpoints)
	bounded(&fs, "ports", len(s.Ports), maxSlicePorts)
	checkSlicePorts(&fs, s.Ports)
	for i := range s.Endpoints {
		checkEndpoint(&fs, &s.Endpoints[i], s.AddressType, path("endpoints", i))
	}
	return fs
}

func bounded(fs *faults, path string, n, most int) {
	if n > most {
		fs.add(path, "has %d items, more than %d: make several EndpointSlices", n, most)
	}
}

func checkSlicePorts(fs *faults, ports []discoveryv1.EndpointPort) {
	names := map[string]int{}
	for i := range ports {
		p, at := &ports[i], path("ports", i)
		if *p.Name != "" {
			fs.all(at+".name", validation.IsDNS1123Label(*p.Name))
		}
		if first, twice := names[*p.Name]; twice {
			fs.add(at+".name", "%q is the name of ports[%d] already", *p.Name, first)
		} else {
			names[*p.Name] = i
		}
		oneOf(fs, at+".protocol", *p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
		if p.Port != nil {
			portNumber(fs, at+".port", *p.Port)
		}
		if p.AppProtocol != nil {
			fs.all(at+".appProtocol", validation.IsQualifiedName(*p.AppProtocol))
		}
	}
}

func checkEndpoint(fs *faults, e *discoveryv1.Endpoint, kind discoveryv1.AddressType, at string) {
	if len(e.Addresses) == 0 {
		fs.add(at+".addresses", "is required: at least one address")
	}
	bounded(fs, at+".addresses", len(e.Addresses), maxAddresses)
	for i, a := range e.Addresses {
		checkAddress(fs, a, kind, path(at+".addresses", i))
	}
	if e.Hostname != nil {
		fs.all(at+".hostname", validation.IsDNS1123Label(*e.Hostname))
	}
	if e.NodeName != nil {
		fs.all(at+".nodeName", validation.IsDNS1123Subdomain(*e.NodeName))
	}
}

func checkAddress(fs *faults, a string, kind discoveryv1.AddressType, at string) {
	switch kind {
	case discoveryv1.AddressTypeIPv4, discoveryv1.AddressTypeIPv6:
		if string(familyOf(a)) != string(kind) {
			fs.add(at, "%q is no %s address, as addressType says", a, kind)
			return
		}
		checkReachable(fs, a, at)
	case discoveryv1.AddressTypeFQDN:
		fs.all(at, validation.IsDNS1123Subdomain(trimDot(a)))
	}
}

// checkReachable refuses what the API server refuses as the address of an
// endpoint: addresses that mean something else on each node.
func checkReachable(fs *faults, a, at string) {
	addr := netip.MustParseAddr(a) // familyOf has parsed it
	switch {
	case addr.IsUnspecified():
		fs.add(at, "%q is the unspecified address: nothing can be reached there", a)
	case addr.IsLoopback():
		fs.add(at, "%q is a loopback address: it would be the client itself", a)
	case addr.IsLinkLocalUnicast(), addr.IsLinkLocalMulticast():
		fs.add(at, "%q is a link-local address: it has no meaning on other links", a)
	}
}
