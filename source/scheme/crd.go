package scheme

import (
	"context"
	"fmt"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	celconfig "k8s.io/apiserver/pkg/apis/cel"

	"sluice.io/sluice/crds"
)

// crdSchema is what a kind's CRD demands of its objects in one version.
type crdSchema struct {
	structural *schema.Structural
	values     validation.SchemaValidator
	rules      *cel.Validator
}

// schemas are the schemas by kind and version, such as "HTTPRoute/v1". Each is
// compiled when it is first asked for.
type schemas map[string]func() (*crdSchema, error)

func newSchemas() schemas {
	all := schemas{}
	for _, k := range kinds {
		if k.plural == "" {
			continue
		}
		load := sync.OnceValues(func() (*apiextensionsv1.CustomResourceDefinition, error) {
			return crds.Load(k.group, k.plural)
		})
		for _, version := range k.versions() {
			all[k.name+"/"+version] = sync.OnceValues(func() (*crdSchema, error) {
				crd, err := load()
				if err != nil {
					return nil, err
				}
				return compile(crd, version)
			})
		}
	}
	return all
}

// compile prepares one version of a CRD.
func compile(crd *apiextensionsv1.CustomResourceDefinition, version string) (*crdSchema, error) {
	for i := range crd.Spec.Versions {
		v := &crd.Spec.Versions[i]
		if v.Name != version {
			continue
		}
		var props apiextensions.JSONSchemaProps
		err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(v.Schema.OpenAPIV3Schema, &props, nil)
		if err != nil {
			return nil, fmt.Errorf("convert schema of %s/%s: %w", crd.Name, version, err)
		}
		structural, err := schema.NewStructural(&props)
		if err != nil {
			return nil, fmt.Errorf("compile schema of %s/%s: %w", crd.Name, version, err)
		}
		values, _, err := validation.NewSchemaValidator(&props)
		if err != nil {
			return nil, fmt.Errorf("compile schema of %s/%s: %w", crd.Name, version, err)
		}
		rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
		return &crdSchema{structural: structural, values: values, rules: rules}, nil
	}
	return nil, fmt.Errorf("%s has no version %s", crd.Name, version)
}

// validate prunes, defaults and checks an object in place, as an API server does
// on create. CEL rules are left out when fields are already wrong: they
// would only say the same again, in other words.
func (d *Decoder) validate(k *kind, version string, u unstructured) []fault {
	s, err := d.schemas[k.name+"/"+version]()
	if err != nil {
		return []fault{{message: err.Error()}}
	}
	var faults []fault
	unknown := pruning.PruneWithOptions(u, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	for _, path := range unknown {
		faults = append(faults, fault{path: path, message: "unknown field" + suggestField(s.structural, path)})
	}
	defaulting.PruneNonNullableNullsWithoutDefaults(u, s.structural)
	defaulting.Default(u, s.structural)
	errs := validation.ValidateCustomResource(nil, u, s.values)
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, u)...)
	if len(faults)+len(errs) == 0 && s.rules != nil {
		errs, _ = s.rules.Validate(context.Background(), nil, s.structural, u, nil, celconfig.RuntimeCELCostBudget)
	}
	return append(faults, faultsOf(errs)...)
}
