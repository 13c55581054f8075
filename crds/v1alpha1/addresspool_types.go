package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AddressPool is a set of addresses for Gateways, in clusters without a load
// balancer of their own. The addresses must be on the nodes' link, or routed to
// it, and nobody else's: for each address that is assigned to a Gateway, one
// ready node answers (ARP, neighbour discovery), and takes its connections in.
//
// Without any AddressPool, the load balancer of the cluster gives addresses to
// the Services that Sluice makes for Gateways.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,categories=sluice,shortName=pool
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
// +kubebuilder:printcolumn:name="Assigned",type=integer,JSONPath=`.status.assigned`
// +kubebuilder:printcolumn:name="Available",type=string,JSONPath=`.status.conditions[?(@.type=="Available")].status`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type AddressPool struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says which addresses the pool has.
	// +required
	Spec AddressPoolSpec `json:"spec"`
	// status says which of them are assigned.
	// +optional
	Status AddressPoolStatus `json:"status,omitzero"`
}

// AddressPoolSpec says which addresses the pool has.
type AddressPoolSpec struct {
	// addresses are single addresses (192.0.2.7), prefixes (192.0.2.0/28,
	// 2001:db8::/112) or ranges from the first to the last (192.0.2.10-192.0.2.20),
	// IPv4 or IPv6. A prefix counts whole, with its first and last address. A
	// Gateway gets one address of each family that the pools have, of 4096 that one
	// pool can give. An address that is taken out keeps serving until its Gateway has
	// another, or asks for others, or the pool is deleted.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Addresses []AddressRange `json:"addresses"`
}

// AddressRange is an IP address, a prefix, or a range such as
// 192.0.2.10-192.0.2.20.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=91
// +kubebuilder:validation:XValidation:rule="isIP(self) || isCIDR(self) || (self.split('-').size() == 2 && self.split('-').all(a, isIP(a)))",message="must be an IP address, a prefix such as 192.0.2.0/28, or a range such as 192.0.2.10-192.0.2.20"
// +kubebuilder:validation:XValidation:rule="!isCIDR(self) || cidr(self) == cidr(self).masked()",message="must be a prefix without bits after its length, such as 192.0.2.0/28"
// +kubebuilder:validation:XValidation:rule="self.split('-').size() != 2 || !self.split('-').all(a, isIP(a)) || ip(self.split('-')[0]).family() == ip(self.split('-')[1]).family()",message="must be a range within one family"
type AddressRange string

// AddressPoolStatus says which addresses of the pool are assigned.
type AddressPoolStatus struct {
	// assigned counts the addresses that are assigned to Gateways.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Assigned int32 `json:"assigned,omitempty"`

	// assignments are the addresses that Gateways have. A Gateway keeps its
	// address as long as it is there.
	// +optional
	// +listType=map
	// +listMapKey=address
	// +kubebuilder:validation:MaxItems=4096
	Assignments []AddressAssignment `json:"assignments,omitempty"`

	// conditions are the statements about the pool. Known types: Accepted,
	// Available.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// AddressAssignment is an address that a Gateway has.
type AddressAssignment struct {
	// address is the address.
	// +required
	Address IPAddress `json:"address"`
	// gateway has the address.
	// +required
	Gateway GatewayReference `json:"gateway"`
	// node is the name of the node that answers for the address. It is empty
	// while no node is ready to.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node,omitempty"`
}

// GatewayReference names a Gateway.
type GatewayReference struct {
	// namespace is that of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// name is that of the Gateway.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
}

// AddressPoolConditionType is a type of condition of an AddressPool.
type AddressPoolConditionType string

// AddressPoolConditionReason is a reason for the status of an AddressPool's
// condition.
type AddressPoolConditionReason string

const (
	// AddressPoolConditionAccepted tells whether the pool's addresses are used. It
	// is a positive condition.
	//
	// Reasons for True: Accepted. Reasons for False: Overlapping.
	AddressPoolConditionAccepted AddressPoolConditionType = "Accepted"
	// AddressPoolReasonAccepted is the reason of Accepted=True.
	AddressPoolReasonAccepted AddressPoolConditionReason = "Accepted"
	// AddressPoolReasonOverlapping is a reason of Accepted=False: an older pool
	// has some of the addresses. They stay its own; the others are used.
	AddressPoolReasonOverlapping AddressPoolConditionReason = "Overlapping"

	// AddressPoolConditionAvailable tells whether the pool has free addresses. It
	// is a positive condition.
	//
	// Reasons for True: Available. Reasons for False: Exhausted.
	AddressPoolConditionAvailable AddressPoolConditionType = "Available"
	// AddressPoolReasonAvailable is the reason of Available=True.
	AddressPoolReasonAvailable AddressPoolConditionReason = "Available"
	// AddressPoolReasonExhausted is the reason of Available=False: all addresses
	// are assigned.
	AddressPoolReasonExhausted AddressPoolConditionReason = "Exhausted"
)

// AddressPoolList is a list of AddressPools.
//
// +kubebuilder:object:root=true
type AddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the pools.
	Items []AddressPool `json:"items"`
}
