package scheme

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"sluice.io/sluice/crds"
)

// crdSchema is what a kind's CRD demands of its objects in one version.
type crdSchema struct {
	structural *schema.Structural
	shape      *shape
	values     validation.SchemaValidator
	rules      *ruleTree
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
		delete(props.Properties, "status") // is taken off before, and needs no defaults
		structural, err := schema.NewStructural(&props)
		if err != nil {
			return nil, fmt.Errorf("compile schema of %s/%s: %w", crd.Name, version, err)
		}
		values, _, err := validation.NewSchemaValidator(&props)
		if err != nil {
			return nil, fmt.Errorf("compile schema of %s/%s: %w", crd.Name, version, err)
		}
		rules, err := compileRules(structural)
		if err != nil {
			return nil, fmt.Errorf("compile rules of %s/%s: %w", crd.Name, version, err)
		}
		shape, err := shapeOf(structural)
		if err != nil {
			return nil, fmt.Errorf("compile schema of %s/%s: %w", crd.Name, version, err)
		}
		return &crdSchema{structural: structural, shape: shape, values: values, rules: rules}, nil
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
	unknown := pruning.PruneWithOptions(u, s.structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(u, s.structural)
	defaulting.Default(u, s.structural)
	var errs field.ErrorList
	if !s.shape.proves(u) {
		errs = validation.ValidateCustomResource(nil, u, s.values)
	}
	errs = append(errs, listtype.ValidateListSetsAndMaps(nil, s.structural, u)...)
	faults := append(unknownFields(s.structural, unknown, errs), faultsOf(errs)...)
	if len(faults) == 0 {
		faults = s.rules.check(u, "")
	}
	return faults
}

// unknownFields words the pruned paths, but for those below a value of the wrong
// type, of which no field can be known.
func unknownFields(s *schema.Structural, paths []string, errs field.ErrorList) []fault {
	var faults []fault
	for _, path := range paths {
		below := slices.ContainsFunc(errs, func(e *field.Error) bool {
			return e.Type == field.ErrorTypeTypeInvalid && strings.HasPrefix(path, e.Field)
		})
		if !below {
			faults = append(faults, fault{path: path, message: "unknown field" + suggestField(s, path)})
		}
	}
	return faults
}
