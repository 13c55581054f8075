// Package resolvetest reads YAML into objects for the tests of packages that
// stand behind resolve, and loads it into a mesh.
//
// It owns a decoder without validation or defaults, so that tests can show what
// becomes of objects that no schema would let pass. It must not be used outside
// of tests.
package resolvetest

import (
	"bytes"
	"cmp"
	"fmt"
	"strings"

	yamlv3 "go.yaml.in/yaml/v3"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
)

// Objects is a set of objects, as [resolve.Resolver.Update] takes them.
type Objects = map[model.ObjectRef]*source.Object

// Parse reads the YAML documents of one file. A document with nothing but
// "deleted: true" besides kind and metadata stands for an object that is gone. The
// objects of a file whose name begins with "cluster" have no file, as if they
// had come from an API server.
func Parse(file string, text []byte) (Objects, error) {
	out := Objects{}
	line := 1
	for doc := range bytes.SplitSeq(text, []byte("\n---\n")) {
		if err := add(out, file, line, doc); err != nil {
			return nil, fmt.Errorf("parse %s: %w", file, err)
		}
		line += bytes.Count(doc, []byte("\n")) + 2
	}
	return out, nil
}

// Mesh resolves objects into a mesh, with the statuses.
func Mesh(objects Objects) (*model.Mesh, map[model.ObjectRef]*model.Status) {
	res := resolve.New().Update(objects)
	m := model.NewMesh()
	m.Apply(res.Delta)
	return m, res.Statuses
}

func kinds(kind string) source.KubeObject {
	switch kind {
	case "Service":
		return &corev1.Service{}
	case "EndpointSlice":
		return &discoveryv1.EndpointSlice{}
	case "HTTPRoute":
		return &gatewayv1.HTTPRoute{}
	case "GRPCRoute":
		return &gatewayv1.GRPCRoute{}
	case "TCPRoute":
		return &gatewayv1.TCPRoute{}
	case "UDPRoute":
		return &gatewayv1.UDPRoute{}
	case "TLSRoute":
		return &gatewayv1.TLSRoute{}
	case "GatewayClass":
		return &gatewayv1.GatewayClass{}
	case "Gateway":
		return &gatewayv1.Gateway{}
	case "ListenerSet":
		return &gatewayv1.ListenerSet{}
	case "ReferenceGrant":
		return &gatewayv1.ReferenceGrant{}
	case "BackendTLSPolicy":
		return &gatewayv1.BackendTLSPolicy{}
	case "Secret":
		return &corev1.Secret{}
	case "ConfigMap":
		return &corev1.ConfigMap{}
	case "Namespace":
		return &corev1.Namespace{}
	case "Workload":
		return &v1alpha1.Workload{}
	case "GatewayParameters":
		return &v1alpha1.GatewayParameters{}
	case "AddressPool":
		return &v1alpha1.AddressPool{}
	}
	return nil
}

func add(out Objects, file string, line int, doc []byte) error {
	var head struct {
		Kind     string
		Deleted  bool
		Metadata struct{ Namespace, Name string }
	}
	if err := yaml.Unmarshal(doc, &head); err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	if head.Kind == "" {
		return nil
	}
	switch head.Kind {
	case "GatewayClass", "Namespace", "AddressPool", "GatewayParameters":
		head.Metadata.Namespace = ""
	default:
		head.Metadata.Namespace = cmp.Or(head.Metadata.Namespace, "default")
	}
	ref := model.ObjectRef{Kind: head.Kind, Namespace: head.Metadata.Namespace, Name: head.Metadata.Name}
	if head.Deleted {
		out[ref] = nil
		return nil
	}
	obj := kinds(head.Kind)
	if obj == nil {
		return fmt.Errorf("line %d: kind %q is not known", line, head.Kind)
	}
	if err := yaml.UnmarshalStrict(doc, obj); err != nil {
		return fmt.Errorf("line %d: %w", line, err)
	}
	obj.SetNamespace(ref.Namespace)
	if err := fillCredentials(obj); err != nil {
		return err
	}
	if strings.HasPrefix(file, "cluster") { // as read from an API server
		file = ""
	}
	first, rules := lines(doc)
	for i := range rules {
		rules[i] += line - 1
	}
	out[ref] = &source.Object{
		KubeObject: obj,
		Origin:     model.Origin{Object: ref, Rule: -1, File: file, Line: line + first - 1},
		RuleLines:  rules,
	}
	return nil
}

// lines returns the lines in a document where its object and its rules, or
// listeners, start.
func lines(doc []byte) (first int, rules []int) {
	var root yamlv3.Node
	if yamlv3.Unmarshal(doc, &root) != nil || len(root.Content) == 0 {
		return 1, nil
	}
	top := root.Content[0]
	spec := child(top, "spec")
	if list := cmp.Or(child(spec, "rules"), child(spec, "listeners")); list != nil {
		for _, item := range list.Content {
			rules = append(rules, item.Line)
		}
	}
	return top.Line, rules
}

func child(n *yamlv3.Node, key string) *yamlv3.Node {
	if n == nil {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if strings.EqualFold(n.Content[i].Value, key) {
			return n.Content[i+1]
		}
	}
	return nil
}
