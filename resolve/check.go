package resolve

import (
	"errors"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/rules"
	"sluice.io/sluice/source"
)

// Check tells what makes a route unusable whatever else there is, such as an
// expression that does not compile. A reader of files keeps the last good state
// of such an object, as it does of one that breaks its schema. A rule that
// cannot be used makes the whole route unusable here: the Gateway API leaves the
// choice between dropping the rule and falling back to the last good state.
//
// References to other objects are not looked at: they may come right without a
// change of this one.
func Check(obj *source.Object) error {
	rt := rules.Read(obj.Origin.Object, obj)
	if rt == nil {
		return nil
	}
	out := rt.Compile(func(gatewayv1.BackendObjectReference) (model.BackendKey, *finding.Finding) {
		return model.BackendKey{}, nil
	})
	switch {
	case out.Rejected != nil:
		return errors.New(out.Rejected.Message)
	case len(out.Dropped) > 0:
		return errors.New(finding.Merge("", out.Dropped).Message)
	}
	return nil
}
