package certmanager

import (
	"cmp"
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// Resource is that of CertificateRequests.
var Resource = schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificaterequests"}

// IssuerRef names an issuer, of whatever kind.
type IssuerRef struct {
	Name  string `json:"name"`
	Kind  string `json:"kind,omitempty"`
	Group string `json:"group,omitempty"`
}

// Complete fills in what cert-manager takes for granted.
func (r IssuerRef) Complete() IssuerRef {
	return IssuerRef{r.Name, cmp.Or(r.Kind, "Issuer"), cmp.Or(r.Group, Resource.Group)}
}

// String is the issuer, for people.
func (r IssuerRef) String() string {
	r = r.Complete()
	if r.Group == Resource.Group {
		return r.Kind + "/" + r.Name
	}
	return r.Kind + "." + r.Group + "/" + r.Name
}

// CertificateRequest is a request for a certificate.
type CertificateRequest struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              Spec   `json:"spec"`
	Status            Status `json:"status,omitzero"`
}

// Spec is what is asked for. cert-manager lets nobody change it.
type Spec struct {
	Duration  *metav1.Duration `json:"duration,omitempty"`
	IssuerRef IssuerRef        `json:"issuerRef"`
	Request   []byte           `json:"request"` // PEM
	IsCA      bool             `json:"isCA,omitempty"`
	Usages    []string         `json:"usages,omitempty"`
	// Who has asked, as the API server knows him. cert-manager's webhook writes it
	// over what the request says.
	Username string              `json:"username,omitempty"`
	UID      string              `json:"uid,omitempty"`
	Groups   []string            `json:"groups,omitempty"`
	Extra    map[string][]string `json:"extra,omitempty"`
}

// Status is what has become of it.
type Status struct {
	Conditions  []Condition  `json:"conditions,omitempty"`
	Certificate []byte       `json:"certificate,omitempty"` // PEM, the leaf first
	CA          []byte       `json:"ca,omitempty"`
	FailureTime *metav1.Time `json:"failureTime,omitempty"`
}

// Condition is a statement about a request.
type Condition struct {
	Type               string       `json:"type"`
	Status             string       `json:"status"`
	Reason             string       `json:"reason,omitempty"`
	Message            string       `json:"message,omitempty"`
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}

// The types of conditions.
const (
	Approved       = "Approved"
	Denied         = "Denied"
	Ready          = "Ready"
	InvalidRequest = "InvalidRequest"
)

// ReasonFailed is the reason of a Ready condition that will never be true.
const ReasonFailed = "Failed"

// Condition finds a statement; the zero value when it was not made.
func (s *Status) Condition(kind string) Condition {
	for _, c := range s.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return Condition{}
}

// Is tells whether a statement was made and is true.
func (s *Status) Is(kind string) bool {
	return s.Condition(kind).Status == string(metav1.ConditionTrue)
}

// Decided tells whether somebody has approved or denied.
func (s *Status) Decided() bool {
	return slices.ContainsFunc(s.Conditions, func(c Condition) bool { return c.Type == Approved || c.Type == Denied })
}

// Over tells whether nothing will happen to the request any more, and since when.
func (s *Status) Over() (since metav1.Time, over bool) {
	for _, c := range s.Conditions {
		switch {
		case c.Type == Denied, c.Type == InvalidRequest && c.Status == string(metav1.ConditionTrue),
			c.Type == Ready && (c.Status == string(metav1.ConditionTrue) || c.Reason == ReasonFailed):
			if c.LastTransitionTime != nil && since.Before(c.LastTransitionTime) {
				since = *c.LastTransitionTime
			}
			over = true
		}
	}
	return since, over
}

// Decode reads a request. It also returns what is in its spec that these types do
// not have: whoever decides on it can't know what that means.
func Decode(u *unstructured.Unstructured) (r *CertificateRequest, unknown error, err error) {
	r = &CertificateRequest{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(u.Object, r); err != nil {
		return nil, nil, fmt.Errorf("read CertificateRequest %s/%s: %w", u.GetNamespace(), u.GetName(), err)
	}
	spec, _, err := unstructured.NestedMap(u.Object, "spec")
	if err != nil {
		return nil, nil, err
	}
	return r, runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(spec, &Spec{}, true), nil
}

// encode writes a request.
func (r *CertificateRequest) encode() (*unstructured.Unstructured, error) {
	o, err := runtime.DefaultUnstructuredConverter.ToUnstructured(r)
	if err != nil {
		return nil, err
	}
	delete(o, "status")
	return &unstructured.Unstructured{Object: o}, nil
}
