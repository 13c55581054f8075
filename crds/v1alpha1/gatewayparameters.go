package v1alpha1

import (
	"maps"

	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Validate says what is wrong with parameters that no schema can tell; nil for
// nothing.
func (p *GatewayParameters) Validate() error {
	if _, err := labels.ValidatedSelectorFromSet(p.Selector()); err != nil {
		return err
	}
	return apivalidation.ValidateAnnotations(p.Spec.Service.Annotations, field.NewPath("spec", "service", "annotations")).ToAggregate()
}

// Selector is the nodeSelector as labels; nil parameters have none.
func (p *GatewayParameters) Selector() labels.Set {
	if p == nil {
		return nil
	}
	set := labels.Set{}
	for k := range maps.Keys(p.Spec.NodeSelector) {
		set[k] = string(p.Spec.NodeSelector[k])
	}
	return set
}
