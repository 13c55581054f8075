package builtin

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1validation "k8s.io/apimachinery/pkg/apis/meta/v1/validation"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// clientIPTimeout is the default of sessionAffinityConfig.clientIP.timeoutSeconds.
const clientIPTimeout = 10800

// Service sets a Service's defaults, and checks it.
func Service(s *corev1.Service) []Fault {
	defaultService(&s.Spec)
	var fs faults
	checkType(&fs, &s.Spec)
	checkPorts(&fs, &s.Spec)
	checkClusterIPs(&fs, &s.Spec)
	checkAffinity(&fs, &s.Spec)
	checkExternal(&fs, &s.Spec)
	selector := metav1validation.ValidateLabels(s.Spec.Selector, field.NewPath("spec", "selector"))
	for _, e := range selector {
		fs.add(e.Field, "%s", e.Detail)
	}
	return fs
}

func defaultService(s *corev1.ServiceSpec) {
	orElse(&s.Type, corev1.ServiceTypeClusterIP)
	orElse(&s.SessionAffinity, corev1.ServiceAffinityNone)
	if s.SessionAffinity == corev1.ServiceAffinityNone {
		s.SessionAffinityConfig = nil
	} else if s.SessionAffinity == corev1.ServiceAffinityClientIP {
		orNew(&s.SessionAffinityConfig)
		orNew(&s.SessionAffinityConfig.ClientIP)
		if s.SessionAffinityConfig.ClientIP.TimeoutSeconds == nil {
			timeout := int32(clientIPTimeout)
			s.SessionAffinityConfig.ClientIP.TimeoutSeconds = &timeout
		}
	}
	for i := range s.Ports {
		p := &s.Ports[i]
		orElse(&p.Protocol, corev1.ProtocolTCP)
		if p.TargetPort == intstr.FromInt32(0) || p.TargetPort == intstr.FromString("") {
			p.TargetPort = intstr.FromInt32(p.Port)
		}
	}
	if s.Type == corev1.ServiceTypeExternalName {
		return
	}
	orNewValue(&s.InternalTrafficPolicy, corev1.ServiceInternalTrafficPolicyCluster)
	if s.Type != corev1.ServiceTypeClusterIP || len(s.ExternalIPs) > 0 {
		orElse(&s.ExternalTrafficPolicy, corev1.ServiceExternalTrafficPolicyCluster)
	}
	if len(s.ClusterIPs) == 0 && s.ClusterIP != "" {
		s.ClusterIPs = []string{s.ClusterIP}
	}
	defaultFamilies(s)
}

// defaultFamilies derives the families from the addresses, as there is no
// cluster here to have a default of its own.
func defaultFamilies(s *corev1.ServiceSpec) {
	if len(s.IPFamilies) == 0 {
		for _, ip := range s.ClusterIPs {
			if f := familyOf(ip); f != "" {
				s.IPFamilies = append(s.IPFamilies, f)
			}
		}
	}
	if s.IPFamilyPolicy == nil && len(s.ClusterIPs) > 0 {
		policy := corev1.IPFamilyPolicySingleStack
		if len(s.ClusterIPs) == 2 || len(s.IPFamilies) == 2 {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		s.IPFamilyPolicy = &policy
	}
}

func checkType(fs *faults, s *corev1.ServiceSpec) {
	oneOf(fs, "spec.type", s.Type, corev1.ServiceTypeClusterIP, corev1.ServiceTypeNodePort,
		corev1.ServiceTypeLoadBalancer, corev1.ServiceTypeExternalName)
	if s.Type == corev1.ServiceTypeExternalName {
		if s.ExternalName == "" {
			fs.add("spec.externalName", "is required for type ExternalName")
		} else {
			fs.all("spec.externalName", validation.IsDNS1123Subdomain(trimDot(s.ExternalName)))
		}
	}
	if s.Type != corev1.ServiceTypeClusterIP && s.Type != corev1.ServiceTypeExternalName && s.ClusterIP == corev1.ClusterIPNone {
		fs.add("spec.clusterIP", "a Service of type %s cannot be headless", s.Type)
	}
}

func checkPorts(fs *faults, s *corev1.ServiceSpec) {
	if len(s.Ports) == 0 && s.ClusterIP != corev1.ClusterIPNone && s.Type != corev1.ServiceTypeExternalName {
		fs.add("spec.ports", "is required: a Service needs at least one port, unless it is headless")
	}
	type number struct {
		protocol corev1.Protocol
		port     int32
	}
	names, numbers := map[string]int{}, map[number]int{}
	for i := range s.Ports {
		p, at := &s.Ports[i], path("spec.ports", i)
		checkPort(fs, p, at, len(s.Ports) > 1)
		if first, twice := names[p.Name]; twice && p.Name != "" {
			fs.add(at+".name", "%q is the name of ports[%d] already", p.Name, first)
		} else {
			names[p.Name] = i
		}
		n := number{p.Protocol, p.Port}
		if first, twice := numbers[n]; twice {
			fs.add(at, "port %d/%s is that of ports[%d] already", p.Port, p.Protocol, first)
		} else {
			numbers[n] = i
		}
	}
}

func checkPort(fs *faults, p *corev1.ServicePort, at string, several bool) {
	if p.Name == "" && several {
		fs.add(at+".name", "is required when there are several ports")
	} else if p.Name != "" {
		fs.all(at+".name", validation.IsDNS1123Label(p.Name))
	}
	portNumber(fs, at+".port", p.Port)
	oneOf(fs, at+".protocol", p.Protocol, corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP)
	if p.TargetPort.Type == intstr.String {
		fs.all(at+".targetPort", validation.IsValidPortName(p.TargetPort.StrVal))
	} else if p.Port != p.TargetPort.IntVal {
		portNumber(fs, at+".targetPort", p.TargetPort.IntVal)
	}
	if p.NodePort != 0 {
		portNumber(fs, at+".nodePort", p.NodePort)
	}
	if p.AppProtocol != nil {
		fs.all(at+".appProtocol", validation.IsQualifiedName(*p.AppProtocol))
	}
}

func checkClusterIPs(fs *faults, s *corev1.ServiceSpec) {
	if s.Type == corev1.ServiceTypeExternalName {
		if s.ClusterIP != "" && s.ClusterIP != corev1.ClusterIPNone || len(s.ClusterIPs) > 0 {
			fs.add("spec.clusterIP", "must be empty for type ExternalName")
		}
		return
	}
	switch {
	case len(s.ClusterIPs) > 0 && s.ClusterIP == "":
		fs.add("spec.clusterIPs", "needs clusterIP too, with the first of the addresses: %q", s.ClusterIPs[0])
	case len(s.ClusterIPs) > 0 && s.ClusterIPs[0] != s.ClusterIP:
		fs.add("spec.clusterIPs[0]", "%q is not clusterIP, which is %q: the two must be the same", s.ClusterIPs[0], s.ClusterIP)
	case len(s.ClusterIPs) > 2:
		fs.add("spec.clusterIPs", "has %d addresses: there may be one of each family", len(s.ClusterIPs))
	}
	for i, ip := range s.ClusterIPs {
		at := path("spec.clusterIPs", i)
		if i == 0 {
			at = "spec.clusterIP"
		}
		if ip == corev1.ClusterIPNone && len(s.ClusterIPs) == 1 {
			continue
		}
		if familyOf(ip) == "" {
			fs.add(at, "%q is no IP address (None makes the Service headless)", ip)
		} else if i > 0 && familyOf(ip) == familyOf(s.ClusterIPs[0]) {
			fs.add(at, "%q is of the same family as %q: there may be one of each", ip, s.ClusterIPs[0])
		}
	}
	checkFamilies(fs, s)
}

func checkFamilies(fs *faults, s *corev1.ServiceSpec) {
	for i, f := range s.IPFamilies {
		oneOf(fs, path("spec.ipFamilies", i), f, corev1.IPv4Protocol, corev1.IPv6Protocol)
		if slices.Contains(s.IPFamilies[:i], f) {
			fs.add(path("spec.ipFamilies", i), "%s is given twice", f)
		}
		if i < len(s.ClusterIPs) {
			if own := familyOf(s.ClusterIPs[i]); own != "" && own != f {
				fs.add(path("spec.ipFamilies", i), "is %s, but the address %q is %s", f, s.ClusterIPs[i], own)
			}
		}
	}
	if s.IPFamilyPolicy == nil {
		return
	}
	oneOf(fs, "spec.ipFamilyPolicy", *s.IPFamilyPolicy, corev1.IPFamilyPolicySingleStack,
		corev1.IPFamilyPolicyPreferDualStack, corev1.IPFamilyPolicyRequireDualStack)
	if *s.IPFamilyPolicy == corev1.IPFamilyPolicySingleStack && max(len(s.ClusterIPs), len(s.IPFamilies)) > 1 {
		fs.add("spec.ipFamilyPolicy", "is SingleStack, but there are two addresses or families")
	}
}

func checkAffinity(fs *faults, s *corev1.ServiceSpec) {
	oneOf(fs, "spec.sessionAffinity", s.SessionAffinity, corev1.ServiceAffinityNone, corev1.ServiceAffinityClientIP)
	if c := s.SessionAffinityConfig; c != nil && c.ClientIP != nil && c.ClientIP.TimeoutSeconds != nil {
		if t := *c.ClientIP.TimeoutSeconds; t <= 0 || t > 86400 {
			fs.add("spec.sessionAffinityConfig.clientIP.timeoutSeconds", "%d is not between 1 and 86400", t)
		}
	}
}

// checkExternal checks what only matters outside the mesh, as it is a part of
// the same object.
func checkExternal(fs *faults, s *corev1.ServiceSpec) {
	for i, ip := range s.ExternalIPs {
		if familyOf(ip) == "" {
			fs.add(path("spec.externalIPs", i), "%q is no IP address", ip)
		}
	}
	for i, cidr := range s.LoadBalancerSourceRanges {
		if !isCIDR(cidr) {
			fs.add(path("spec.loadBalancerSourceRanges", i), "%q is no range of IP addresses, such as 10.0.0.0/8", cidr)
		}
	}
	if s.ExternalTrafficPolicy != "" {
		oneOf(fs, "spec.externalTrafficPolicy", s.ExternalTrafficPolicy,
			corev1.ServiceExternalTrafficPolicyCluster, corev1.ServiceExternalTrafficPolicyLocal)
	}
	if s.InternalTrafficPolicy != nil {
		oneOf(fs, "spec.internalTrafficPolicy", *s.InternalTrafficPolicy,
			corev1.ServiceInternalTrafficPolicyCluster, corev1.ServiceInternalTrafficPolicyLocal)
	}
	if s.TrafficDistribution != nil {
		oneOf(fs, "spec.trafficDistribution", *s.TrafficDistribution, corev1.ServiceTrafficDistributionPreferSameZone,
			corev1.ServiceTrafficDistributionPreferSameNode, corev1.ServiceTrafficDistributionPreferClose)
	}
	if s.HealthCheckNodePort != 0 {
		portNumber(fs, "spec.healthCheckNodePort", s.HealthCheckNodePort)
	}
}
