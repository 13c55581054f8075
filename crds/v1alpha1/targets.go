package v1alpha1

import (
	"fmt"
	"strconv"
	"strings"
)

// ServiceConditionTargets is a condition that the controller writes into the status
// of the Services that it makes for Gateways. It says at which ports of the nodes
// load balancers dial the Gateway's ports. Agents believe it, and not the Service's
// spec: whoever may edit Services may not write their status.
//
// It is always True, with reason Allotted; the message is that of [Targets].
const ServiceConditionTargets = "sluice.io/Targets"

// ServiceReasonAllotted is the reason of ServiceConditionTargets=True.
const ServiceReasonAllotted = "Allotted"

// Targets are the ports of nodes that were allotted to a Gateway in the Service's
// namespace.
//
// +kubebuilder:object:generate=false
type Targets struct {
	Gateway string
	Ports   []TargetPort
}

// TargetPort is the port of nodes that stands for one port of a Gateway.
//
// +kubebuilder:object:generate=false
type TargetPort struct {
	Port     uint16
	Protocol string
	Target   uint16
}

// String is the message of ServiceConditionTargets, such as
// "Gateway web: 80/TCP=20080 443/TCP=20443".
func (t Targets) String() string {
	var b strings.Builder
	b.WriteString("Gateway " + t.Gateway + ":")
	for _, p := range t.Ports {
		fmt.Fprintf(&b, " %d/%s=%d", p.Port, p.Protocol, p.Target)
	}
	return b.String()
}

// ParseTargets reads what [Targets.String] writes, and nothing else.
func ParseTargets(message string) (Targets, bool) {
	gateway, rest, ok := strings.Cut(strings.TrimPrefix(message, "Gateway "), ":")
	t := Targets{Gateway: gateway}
	for text := range strings.FieldsSeq(rest) {
		port, target, _ := strings.Cut(text, "=")
		port, protocol, _ := strings.Cut(port, "/")
		p, err1 := strconv.ParseUint(port, 10, 16)
		n, err2 := strconv.ParseUint(target, 10, 16)
		if err1 != nil || err2 != nil {
			return Targets{}, false
		}
		t.Ports = append(t.Ports, TargetPort{uint16(p), protocol, uint16(n)})
	}
	return t, ok && t.String() == message
}
