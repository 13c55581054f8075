package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// GatewayParameters say how the Gateways of a GatewayClass are provided in a
// cluster. A GatewayClass names them in its parametersRef; they are the
// cluster operator's, as the class is.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=sluice,shortName=gwparams,path=gatewayparameters
// +kubebuilder:printcolumn:name="Type",type=string,JSONPath=`.spec.service.type`
// +kubebuilder:printcolumn:name="Nodes",type=string,JSONPath=`.spec.nodeSelector`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type GatewayParameters struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says how Gateways are provided.
	// +required
	Spec GatewayParametersSpec `json:"spec"`
}

// GatewayParametersSpec says how Gateways are provided.
type GatewayParametersSpec struct {
	// nodeSelector selects by their labels the nodes that serve the Gateways: the
	// others neither answer for their addresses, nor do load balancers send to
	// them. Without it, every node with a ready Envoy serves.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=16
	NodeSelector map[string]LabelValue `json:"nodeSelector,omitempty"`

	// service is about the Service that each Gateway gets.
	// +optional
	Service GatewayService `json:"service,omitzero"`
}

// LabelValue is the value of a label.
//
// +kubebuilder:validation:MaxLength=63
// +kubebuilder:validation:Pattern=`^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$`
type LabelValue string

// GatewayService is about the Service that each Gateway gets.
//
// +kubebuilder:validation:MinProperties=1
// +kubebuilder:validation:XValidation:rule="!has(self.externalTrafficPolicy) || !has(self.type) || self.type == 'LoadBalancer'",message="externalTrafficPolicy goes with type LoadBalancer only"
type GatewayService struct {
	// type is LoadBalancer, for addresses of the cluster's load balancer or of an
	// AddressPool, or ClusterIP, for Gateways that are dialled from within the
	// cluster. There is no NodePort: who wants one finds it in a Service of type
	// LoadBalancer.
	// +optional
	// +kubebuilder:default=LoadBalancer
	Type GatewayServiceType `json:"type,omitempty"`

	// externalTrafficPolicy is the Service's. Local, which it is without this
	// field, preserves the client's address; load balancers then send only to
	// nodes that serve. What somebody sets on the Service itself stays when the
	// field is not set.
	// +optional
	ExternalTrafficPolicy GatewayTrafficPolicy `json:"externalTrafficPolicy,omitempty"`

	// annotations are added to those of the Gateway's infrastructure, which go
	// first.
	// +optional
	// +kubebuilder:validation:MinProperties=1
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, !k.startsWith('sluice.io/'))",message="annotations of sluice.io are Sluice's own"
	Annotations map[string]string `json:"annotations,omitempty"`
}

// GatewayServiceType is a type of Service.
//
// +kubebuilder:validation:Enum=LoadBalancer;ClusterIP
type GatewayServiceType string

// The types of Services that Gateways can have.
const (
	GatewayServiceLoadBalancer GatewayServiceType = "LoadBalancer"
	GatewayServiceClusterIP    GatewayServiceType = "ClusterIP"
)

// GatewayTrafficPolicy is a Service's externalTrafficPolicy.
//
// +kubebuilder:validation:Enum=Local;Cluster
type GatewayTrafficPolicy string

// GatewayParametersList is a list of GatewayParameters.
//
// +kubebuilder:object:root=true
type GatewayParametersList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the parameters.
	Items []GatewayParameters `json:"items"`
}
