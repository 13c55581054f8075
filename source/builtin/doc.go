// Package builtin sets the defaults and checks the invariants of the kinds that
// Kubernetes has built in, Service, EndpointSlice, Secret and ConfigMap, and of
// the metadata of all kinds, as the API server does.
//
// It owns what the Go types of those kinds do not say by themselves. It must not
// know where objects come from, nor what Sluice does with them.
package builtin

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// Fault is something wrong with a field.
type Fault struct {
	Path, Message string
}

// faults collects them.
type faults []Fault

func (fs *faults) add(path, format string, args ...any) {
	message, _, _ := strings.Cut(fmt.Sprintf(format, args...), ", regex used for validation")
	if strings.Count(message, "(") > strings.Count(message, ")") {
		message += ")" // of what was cut
	}
	*fs = append(*fs, Fault{Path: path, Message: message})
}

// all adds one fault for each message.
func (fs *faults) all(path string, messages []string) {
	for _, m := range messages {
		fs.add(path, "%s", m)
	}
}

// Metadata checks an object's name, its namespace, which it has or has not, its
// labels and annotations. The names of Services and Namespaces are DNS labels, as
// they are parts of DNS names; other names may have dots.
func Metadata(meta metav1.Object, kind string, namespaced bool) []Fault {
	name := validation.NameIsDNSSubdomain
	if kind == "Service" || kind == "Namespace" {
		name = validation.NameIsDNSLabel
	}
	var fs faults
	for _, e := range validation.ValidateObjectMetaAccessor(meta, namespaced, name, field.NewPath("metadata")) {
		detail := strings.TrimSpace(e.Detail)
		if text, ok := e.BadValue.(string); ok && e.Type == field.ErrorTypeInvalid {
			detail = fmt.Sprintf("invalid value %.64q: %s", text, detail)
		} else if e.Type == field.ErrorTypeRequired {
			detail = "is required: " + detail
		}
		fs.add(e.Field, "%s", detail)
	}
	return fs
}
