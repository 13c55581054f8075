package approver

import (
	_ "embed" // of the policy
	"strings"
)

//go:embed admission.yaml
var admission string

// AdmissionPolicy is a ValidatingAdmissionPolicy with its binding, as YAML: who
// makes a CertificateRequest in a namespace cannot do so in another's name, even
// where cert-manager's webhook is not there to see to it.
func AdmissionPolicy(namespace string) string {
	return strings.ReplaceAll(admission, "@NAMESPACE@", namespace)
}
