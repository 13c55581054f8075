package scheme

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/google/cel-go/interpreter"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel/model"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/common"
)

// ruleTree are a schema's compiled CEL rules, in the shape of the schema. Parts
// of a schema without rules below them have no tree.
//
// It finds what the API server's own validator finds (a test compares the two),
// at a third of the cost: nothing is metered, because the rules are no user's
// but come with the program, and the schema bounds the values that they see.
// What no CRD here uses is refused when the rules are compiled.
type ruleTree struct {
	rules  []rule
	values common.Schema
	items  *ruleTree
	extra  *ruleTree
	fields map[string]*ruleTree
}

// rule is one x-kubernetes-validations entry.
type rule struct {
	program interpreter.Interpretable
	message string
}

// compileRules compiles the rules of a whole schema; the tree is nil when there
// are none.
func compileRules(s *schema.Structural) (*ruleTree, error) {
	values := newCachedSchema(model.WithTypeAndObjectMeta(s))
	return compileTree(s, values, model.SchemaDeclType(s, true))
}

// compileTree compiles the rules of one part of a schema and of all below it.
// Without a declaration the part is not visible to rules.
func compileTree(s *schema.Structural, values common.Schema, decl *apiservercel.DeclType) (*ruleTree, error) {
	if s == nil || decl == nil {
		return nil, nil
	}
	t := &ruleTree{values: values}
	err := t.compileOwn(s, decl)
	if s.Items != nil {
		items, failed := compileTree(s.Items, values.Items(), decl.ElemType)
		t.items, err = items, errors.Join(err, failed)
	}
	if s.AdditionalProperties != nil && s.AdditionalProperties.Structural != nil {
		extra, failed := compileTree(s.AdditionalProperties.Structural, values.AdditionalProperties().Schema(), decl.ElemType)
		t.extra, err = extra, errors.Join(err, failed)
	}
	err = errors.Join(err, t.compileFields(s, decl))
	if err != nil || len(t.rules)+len(t.fields) == 0 && t.items == nil && t.extra == nil {
		return nil, err
	}
	return t, nil
}

func (t *ruleTree) compileFields(s *schema.Structural, decl *apiservercel.DeclType) error {
	var errs []error
	properties := t.values.Properties()
	for name, property := range s.Properties {
		escaped, ok := apiservercel.Escape(name)
		field := decl.Fields[escaped]
		if !ok || field == nil {
			continue
		}
		tree, err := compileTree(&property, properties[name], field.Type)
		if tree != nil {
			if t.fields == nil {
				t.fields = map[string]*ruleTree{}
			}
			t.fields[name] = tree
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// transition is the name by which a rule speaks of an object's earlier state.
var transition = regexp.MustCompile(`\boldSelf\b`)

// compileOwn compiles the rules of a part itself. Rules about transitions are
// left out: what is in a file has no earlier state, as if it were made anew.
func (t *ruleTree) compileOwn(s *schema.Structural, decl *apiservercel.DeclType) error {
	if v := s.ValueValidation; v != nil {
		for i := range v.AllOf {
			if len(v.AllOf[i].XValidations) > 0 {
				return errors.New("rules within allOf are not supported")
			}
		}
	}
	if len(s.XValidations) == 0 {
		return nil
	}
	c, err := newRuleCompiler(decl)
	if err != nil {
		return err
	}
	for _, x := range s.XValidations {
		if transition.MatchString(x.Rule) {
			continue
		}
		r, err := c.compile(x)
		if err != nil {
			return fmt.Errorf("compile rule %q: %w", x.Rule, err)
		}
		t.rules = append(t.rules, r)
	}
	return nil
}
