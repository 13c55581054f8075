package model

// Condition is one statement about an object, as in the Kubernetes API.
type Condition struct {
	Type    string `json:"type"`
	Status  bool   `json:"status"`
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

// Troubling tells that the condition says what is wrong. All types say what is
// well but PartiallyInvalid, by the Gateway API.
func (c Condition) Troubling() bool { return c.Status == (c.Type == "PartiallyInvalid") }

// ParentStatus holds the conditions of a route for one of its parents.
type ParentStatus struct {
	Parent ObjectRef `json:"parent"`
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
	// Conditions are those of objects that have no parents (Service, Workload).
	Conditions []Condition `json:"conditions,omitempty"`
}
