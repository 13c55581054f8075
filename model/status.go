package model

import "net/netip"

// Condition is one statement about an object, as in the Kubernetes API.
type Condition struct {
	Type    string `json:"type"`
	Status  bool   `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Troubling tells that the condition says what is wrong. By the Gateway API most
// types say what is well.
func (c Condition) Troubling() bool {
	switch c.Type {
	case "PartiallyInvalid", "Conflicted", "InsecureFrontendValidationMode":
		return c.Status
	}
	return !c.Status
}

// ParentStatus holds the conditions of a route for one of its parents, or of a
// policy for one of its ancestors.
type ParentStatus struct {
	Parent ObjectRef `json:"parent"`
	// Ref is the index of the parentRef in the route.
	Ref int `json:"-"`
	// Port is the parentRef's port; zero for all ports.
	Port uint16 `json:"port,omitempty"`
	// Section is the parentRef's sectionName, a port's name; empty for all ports.
	Section    string      `json:"section,omitempty"`
	Conditions []Condition `json:"conditions"`
}

// Status is what Sluice says of an object.
type Status struct {
	Origin Origin `json:"origin"`
	// Parents are a route's, in the order of its parentRefs.
	Parents []ParentStatus `json:"parents,omitempty"`
	// Conditions are those of the object itself.
	Conditions []Condition `json:"conditions,omitempty"`
	// Listeners are those of a Gateway or ListenerSet, in order.
	Listeners []ListenerStatus `json:"listeners,omitempty"`
	// Gateway is that of a ListenerSet, or the Gateway itself.
	Gateway GatewayKey `json:"-"`
	// Addresses are a Gateway's, as clients dial them.
	Addresses []netip.Addr `json:"-"`
	// AttachedListenerSets counts those of a Gateway.
	AttachedListenerSets int32 `json:"attachedListenerSets,omitempty"`
	// Features are those that a GatewayClass's controller supports.
	Features []string `json:"features,omitempty"`
}

// ListenerStatus is what Sluice says of one listener.
type ListenerStatus struct {
	Name string `json:"name"`
	// Port, Protocol and Hostname are the listener's own, as they were given;
	// Hostname is a domain as in [HostKey].
	Port     uint16 `json:"-"`
	Protocol string `json:"-"`
	Hostname string `json:"-"`
	// Origin is the listener's; without an object when only the object's is known.
	Origin Origin `json:"origin,omitzero"`
	// Chain is that of the listener in its [GatewayPort]. HTTP listeners share one.
	Chain string `json:"-"`
	// Kinds are the kinds of routes that may attach, of the Gateway API's group.
	Kinds          []string    `json:"kinds"`
	AttachedRoutes int32       `json:"attachedRoutes"`
	Conditions     []Condition `json:"conditions"`
}

// Condition is the one of a type, to be changed where the status is one's own; nil
// when there is none.
func (s *Status) Condition(kind string) *Condition {
	if s == nil {
		return nil
	}
	for i := range s.Conditions {
		if s.Conditions[i].Type == kind {
			return &s.Conditions[i]
		}
	}
	return nil
}
