package scheme

import (
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	"k8s.io/apiserver/pkg/cel/common"
)

// cached is a schema as CEL values see it. The one that it wraps makes a map of
// all properties anew each time that a rule reads a field, which is most of what
// a rule costs.
type cached struct {
	*model.Structural
	items      common.Schema
	properties map[string]common.Schema
	extra      common.SchemaOrBool
}

var _ common.Schema = (*cached)(nil)

func newCachedSchema(s *schema.Structural) common.Schema {
	c := &cached{Structural: &model.Structural{Structural: s}}
	c.extra = c.Structural.AdditionalProperties()
	if s.Items != nil {
		c.items = newCachedSchema(s.Items)
	}
	if extra := s.AdditionalProperties; extra != nil && extra.Structural != nil {
		c.extra = only{newCachedSchema(extra.Structural)}
	}
	if s.Properties != nil {
		c.properties = make(map[string]common.Schema, len(s.Properties))
		for name, property := range s.Properties {
			c.properties[name] = newCachedSchema(&property)
		}
	}
	return c
}

// Items returns the schema of a list's items.
func (c *cached) Items() common.Schema { return c.items }

// Properties returns the schemas of the fields.
func (c *cached) Properties() map[string]common.Schema { return c.properties }

// AdditionalProperties returns the schema of a map's values.
func (c *cached) AdditionalProperties() common.SchemaOrBool { return c.extra }

// only is a schema where there might be a bool.
type only struct{ values common.Schema }

// Schema returns the schema.
func (o only) Schema() common.Schema { return o.values }

// Allows returns true, as there is a schema.
func (o only) Allows() bool { return true }
