package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Workload declares processes on this node as clients of the mesh where no
// Kubernetes is: everything in one network namespace, or in one cgroup of the
// node's own network namespace. Its labels are its metadata's labels. What is
// not declared is never touched.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:categories=sluice,shortName=wl
// +kubebuilder:printcolumn:name="Account",type=string,JSONPath=`.spec.serviceAccount`
// +kubebuilder:printcolumn:name="Netns",type=string,JSONPath=`.spec.netns`
// +kubebuilder:printcolumn:name="Cgroup",type=string,JSONPath=`.spec.cgroup`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.size() <= 63",message="metadata.name must have at most 63 characters"
type Workload struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard object's metadata. The namespace and the name
	// identify the workload; the labels describe it to policies.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`
	// spec says where the workload's processes are and who they are.
	// +required
	Spec WorkloadSpec `json:"spec"`
	// status is what Sluice found. It is never read from a file.
	// +optional
	Status WorkloadStatus `json:"status,omitzero"`
}

// WorkloadSpec says where the workload's processes are and who they are.
//
// +kubebuilder:validation:XValidation:rule="has(self.netns) != has(self.cgroup)",message="exactly one of netns and cgroup must be set"
type WorkloadSpec struct {
	// serviceAccount is the name of the account, in the workload's namespace,
	// that the workload acts as: its identity is
	// spiffe://<trust domain>/ns/<namespace>/sa/<serviceAccount>.
	// +optional
	// +kubebuilder:default=default
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	ServiceAccount string `json:"serviceAccount,omitempty"`

	// netns is the absolute path of the workload's network namespace, such as
	// /run/netns/cart or /proc/4711/ns/net. The path may appear after the
	// Workload: it is watched for. A workload that shares the node's own network
	// namespace is declared by its cgroup instead.
	// +optional
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.endsWith('/')",message="must be the absolute path of a network namespace file, such as /run/netns/cart"
	// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(e, e == '..' || e == '.')",message="must not have . or .. in the path"
	Netns *string `json:"netns,omitempty"`

	// cgroup is the path of the cgroup (version 2) that holds the workload's
	// processes, with all cgroups below it: relative to the root of the cgroup2
	// file system, such as system.slice/cart.service, or absolute, such as
	// /sys/fs/cgroup/system.slice/cart.service. The root itself is refused.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +kubebuilder:validation:XValidation:rule="self != '/' && !self.endsWith('/') && !self.contains('//')",message="must name a cgroup below the root, such as system.slice/cart.service, without a slash at its end"
	// +kubebuilder:validation:XValidation:rule="!self.split('/').exists(e, e == '..' || e == '.')",message="must not have . or .. in the path"
	Cgroup *string `json:"cgroup,omitempty"`

	// addresses are the workload's own IP addresses, IPv4 or IPv6, for
	// explanations and flows. They decide nothing: who a client is follows from
	// its network namespace or cgroup.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	Addresses []IPAddress `json:"addresses,omitempty"`
}

// IPAddress is an IPv4 or IPv6 address in its text form, without a prefix
// length or zone.
//
// +kubebuilder:validation:MinLength=2
// +kubebuilder:validation:MaxLength=45
// +kubebuilder:validation:XValidation:rule="isIP(self)",message="must be an IPv4 or IPv6 address"
type IPAddress string

// WorkloadStatus is what Sluice found.
type WorkloadStatus struct {
	// conditions are the statements about the workload. Known type: Accepted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=8
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// WorkloadConditionType is a type of condition of a Workload.
type WorkloadConditionType string

// WorkloadConditionReason is a reason for the status of a Workload's condition.
type WorkloadConditionReason string

const (
	// WorkloadConditionAccepted tells whether the declaration can be used. It is
	// a positive condition.
	//
	// Reasons for True: Accepted. Reasons for False: Invalid.
	WorkloadConditionAccepted WorkloadConditionType = "Accepted"
	// WorkloadReasonAccepted is the reason of Accepted=True.
	WorkloadReasonAccepted WorkloadConditionReason = "Accepted"
	// WorkloadReasonInvalid is the reason of Accepted=False: the message says
	// which field is wrong. An earlier, good state of it may keep serving.
	WorkloadReasonInvalid WorkloadConditionReason = "Invalid"
)

// WorkloadList is a list of Workloads.
//
// +kubebuilder:object:root=true
type WorkloadList struct {
	metav1.TypeMeta `json:",inline"`
	// metadata is the standard list's metadata.
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	// items are the workloads.
	Items []Workload `json:"items"`
}
