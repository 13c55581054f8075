// Package v1alpha1 holds the Kubernetes API types of sluice.io/v1alpha1: what
// users write that the Gateway API has no kind for.
//
// It owns the types, their markers and documentation, from which the CRDs in
// the folder above are generated. It must not know what Sluice makes of them.
//
// +kubebuilder:object:generate=true
// +groupName=sluice.io
package v1alpha1

//go:generate go tool controller-gen object paths=.
//go:generate go tool controller-gen crd:generateEmbeddedObjectMeta=false paths=. output:crd:dir=..
