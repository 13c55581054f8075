package resolve

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/object"
	"sluice.io/sluice/source"
)

func TestCheckLooksAtTheRouteAlone(t *testing.T) {
	route := func(kind gatewayv1.PathMatchType, path string) *source.Object {
		rule := gatewayv1.HTTPRouteRule{
			Matches: []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &kind, Value: &path}}},
			BackendRefs: []gatewayv1.HTTPBackendRef{{BackendRef: gatewayv1.BackendRef{
				BackendObjectReference: gatewayv1.BackendObjectReference{Name: "nowhere"},
			}}},
		}
		return &source.Object{
			KubeObject: &gatewayv1.HTTPRoute{
				ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: "cart"},
				Spec:       gatewayv1.HTTPRouteSpec{Rules: []gatewayv1.HTTPRouteRule{rule}},
			},
			Origin:    model.Origin{Object: model.ObjectRef{Kind: object.KindHTTPRoute, Namespace: "shop", Name: "cart"}, Rule: -1, File: "cart.yaml", Line: 1},
			RuleLines: []int{7},
		}
	}
	if err := Check(route(gatewayv1.PathMatchRegularExpression, "/a[0-9]+")); err != nil {
		t.Errorf("a missing backend is not the route's own fault: %v", err)
	}
	err := Check(route(gatewayv1.PathMatchRegularExpression, "/a[0-9"))
	if err == nil || !strings.Contains(err.Error(), "cart.yaml:7") || !strings.Contains(err.Error(), "/a[0-9") {
		t.Errorf("a bad expression must be told with its rule's line, got %v", err)
	}
}
