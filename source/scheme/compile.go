package scheme

import (
	"errors"

	celgo "github.com/google/cel-go/cel"
	"github.com/google/cel-go/interpreter"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	apiservercel "k8s.io/apiserver/pkg/cel"
	"k8s.io/apiserver/pkg/cel/environment"
)

// ruleCompiler compiles the rules of one part of a schema, in the environment
// that the API server gives them.
//
// It plans the programs itself: those that the environment makes meter each step
// of an evaluation, which costs twice as much as the step.
type ruleCompiler struct {
	env  *celgo.Env
	plan interpreter.Interpreter
}

func newRuleCompiler(decl *apiservercel.DeclType) (*ruleCompiler, error) {
	self := decl.MaybeAssignTypeName("selfType")
	base := environment.MustBaseEnvSet(environment.DefaultCompatibilityVersion())
	set, err := base.Extend(environment.VersionedOptions{
		IntroducedVersion: environment.DefaultCompatibilityVersion(),
		EnvOptions:        []celgo.EnvOption{celgo.Variable(cel.ScopedVarName, self.CelType())},
		DeclTypes:         []*apiservercel.DeclType{self},
	})
	if err != nil {
		return nil, err
	}
	env := set.StoredExpressionsEnv()
	calls := interpreter.NewDispatcher()
	for _, function := range env.Functions() {
		overloads, err := function.Bindings()
		if err != nil {
			return nil, err
		}
		if err := calls.Add(overloads...); err != nil {
			return nil, err
		}
	}
	provider, adapter := env.CELTypeProvider(), env.CELTypeAdapter()
	fields := interpreter.NewAttributeFactory(env.Container, adapter, provider)
	return &ruleCompiler{
		env: env, plan: interpreter.NewInterpreter(calls, env.Container, provider, adapter, fields),
	}, nil
}

func (c *ruleCompiler) compile(x apiextensionsv1.ValidationRule) (rule, error) {
	if x.MessageExpression != "" || x.FieldPath != "" {
		return rule{}, errors.New("messageExpression and fieldPath are not supported")
	}
	ast, issues := c.env.Compile(x.Rule)
	if issues.Err() != nil {
		return rule{}, issues.Err()
	}
	if ast.OutputType() != celgo.BoolType {
		return rule{}, errors.New("it does not give true or false")
	}
	program, err := c.plan.NewInterpretable(ast.NativeRep(), interpreter.Optimize(),
		interpreter.CompileRegexConstants(interpreter.MatchesRegexOptimization))
	if err != nil {
		return rule{}, err
	}
	message := x.Message
	if message == "" {
		message = "failed rule: " + x.Rule
	}
	return rule{program: program, message: message}, nil
}
