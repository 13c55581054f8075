package scheme

import (
	"fmt"
	"strconv"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiserver/pkg/cel/common"

	"sluice.io/sluice/source/syntax"
)

// check evaluates the rules on a value and all below it. The value must be valid
// by the schema.
func (t *ruleTree) check(v any, path string) []fault {
	if t == nil || v == nil {
		return nil
	}
	faults := t.checkOwn(v, path)
	switch v := v.(type) {
	case []any:
		for i, item := range v {
			if t.items != nil {
				faults = append(faults, t.items.check(item, path+"["+strconv.Itoa(i)+"]")...)
			}
		}
	case map[string]any:
		faults = append(faults, t.checkFields(v, path)...)
	}
	return faults
}

func (t *ruleTree) checkFields(m map[string]any, path string) []fault {
	var faults []fault
	for name, tree := range t.fields {
		if v, ok := m[name]; ok {
			faults = append(faults, tree.check(v, syntax.Join(path, name))...)
		}
	}
	if t.extra != nil {
		for name, v := range m {
			faults = append(faults, t.extra.check(v, path+"["+name+"]")...)
		}
	}
	return faults
}

func (t *ruleTree) checkOwn(v any, path string) []fault {
	if len(t.rules) == 0 {
		return nil
	}
	var faults []fault
	self := activation{common.UnstructuredToVal(v, t.values)}
	for _, r := range t.rules {
		switch result := r.eval(self).(type) {
		case types.Bool:
			if result != types.True {
				faults = append(faults, fault{path: path, message: r.message})
			}
		default:
			faults = append(faults, fault{path: path, message: fmt.Sprintf("%v evaluating rule: %s", result, r.message)})
		}
	}
	return faults
}

// eval evaluates a rule. A panic within the evaluator is an error like others.
func (r *rule) eval(self activation) (result ref.Val) {
	defer func() {
		if p := recover(); p != nil {
			result = types.NewErr("internal error: %v", p)
		}
	}()
	return r.program.Eval(self)
}

// activation gives rules the value of self.
type activation struct{ self ref.Val }

var _ interpreter.Activation = activation{}

// ResolveName returns the value of self.
func (a activation) ResolveName(name string) (any, bool) { return a.self, name == cel.ScopedVarName }

// Parent returns nil: there is nothing but self.
func (a activation) Parent() interpreter.Activation { return nil }
