package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeReport is what a node's Envoy rejects of Gateways. The node's agent makes it,
// under the node's name, and removes it when there is nothing to say; the
// controller reads it for the Gateways' statuses. Nobody else writes it: an agent
// may write its own node's only.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=sluice
// +kubebuilder:printcolumn:name="Gateways",type=string,JSONPath=`.rejected[*].gateway.name`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type NodeReport struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata; its name is the node's.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// rejected is what of Gateways the node's Envoy did not take. It goes on with what
	// it had before, if anything.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Rejected []RejectedPart `json:"rejected"`
}

// RejectedPart is a listener of a Gateway at one address, or the routes of one host
// name, that an Envoy did not take.
type RejectedPart struct {
	// gateway has the listener.
	// +required
	Gateway GatewayReference `json:"gateway"`
	// address is the IP address of the listener, unspecified for every address of the
	// node; none when it is the routes of a host.
	// +optional
	Address IPAddress `json:"address,omitempty"`
	// host is the host name whose routes are meant, "*" for all with a wildcard; none
	// when it is the listener itself.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Host string `json:"host,omitempty"`
	// port is the Gateway's, or for every address of the node the one at which load
	// balancers dial it.
	// +required
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=65535
	Port int32 `json:"port"`
	// protocol is TCP or UDP.
	// +required
	// +kubebuilder:validation:Enum=TCP;UDP
	Protocol string `json:"protocol"`
	// message is Envoy's own.
	// +required
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message"`
}

// NodeReportList is a list of NodeReports.
//
// +kubebuilder:object:root=true
type NodeReportList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the reports.
	Items []NodeReport `json:"items"`
}
