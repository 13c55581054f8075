package certmanager_test

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"sluice.io/sluice/identity/certmanager"
)

func encode(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func TestIssuerRef(t *testing.T) {
	ref := certmanager.IssuerRef{Name: "a"}
	if ref.Complete() != (certmanager.IssuerRef{Name: "a", Kind: "Issuer", Group: "cert-manager.io"}) || ref.String() != "Issuer/a" {
		t.Errorf("%v, %s", ref.Complete(), ref)
	}
	if s := (certmanager.IssuerRef{Name: "a", Kind: "PCA", Group: "example.com"}).String(); s != "PCA.example.com/a" {
		t.Error(s)
	}
}

// TestDecodeTellsWhatItDoesNotKnow: in the spec, which says what is asked for.
// Elsewhere there may be anything.
func TestDecodeTellsWhatItDoesNotKnow(t *testing.T) {
	u := &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{"name": "a", "somethingNew": "x"},
		"spec": map[string]any{
			"request": encode([]byte("x")), "issuerRef": map[string]any{"name": "a"}, "duration": "1h0m0s",
			"extra": map[string]any{"a/b": []any{"c"}},
		},
		"status": map[string]any{"somethingNew": true, "conditions": []any{map[string]any{"type": "Ready", "status": "True", "observedGeneration": int64(1)}}},
	}}
	r, unknown, err := certmanager.Decode(u)
	if err != nil || unknown != nil {
		t.Fatal(err, unknown)
	}
	if string(r.Spec.Request) != "x" || r.Spec.Duration.Duration != time.Hour || r.Spec.Extra["a/b"][0] != "c" || !r.Status.Is(certmanager.Ready) {
		t.Errorf("%+v", r)
	}
	for _, field := range [][]string{{"spec", "literalSubject"}, {"spec", "issuerRef", "somethingNew"}} {
		other := u.DeepCopy()
		if err := unstructured.SetNestedField(other.Object, "x", field...); err != nil {
			t.Fatal(err)
		}
		if _, unknown, err := certmanager.Decode(other); err != nil || unknown == nil || !strings.Contains(unknown.Error(), field[len(field)-1]) {
			t.Errorf("%v: %v, %v", field, unknown, err)
		}
	}
	if _, _, err := certmanager.Decode(&unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"request": int64(1)}}}); err == nil {
		t.Error("a number is a request")
	}
}

func TestOver(t *testing.T) {
	at := metav1.NewTime(time.Unix(1e9, 0))
	c := func(kind, status, reason string) certmanager.Condition {
		return certmanager.Condition{Type: kind, Status: status, Reason: reason, LastTransitionTime: &at}
	}
	for name, tc := range map[string]struct {
		conditions []certmanager.Condition
		over       bool
	}{
		"new":      {nil, false},
		"approved": {[]certmanager.Condition{c("Approved", "True", "x")}, false},
		"pending":  {[]certmanager.Condition{c("Approved", "True", "x"), c("Ready", "False", "Pending")}, false},
		"issued":   {[]certmanager.Condition{c("Approved", "True", "x"), c("Ready", "True", "Issued")}, true},
		"failed":   {[]certmanager.Condition{c("Approved", "True", "x"), c("Ready", "False", "Failed")}, true},
		"denied":   {[]certmanager.Condition{c("Denied", "True", "x")}, true},
		"invalid":  {[]certmanager.Condition{c("InvalidRequest", "True", "x")}, true},
	} {
		s := certmanager.Status{Conditions: tc.conditions}
		if since, over := s.Over(); over != tc.over || over && !since.Equal(&at) {
			t.Errorf("%s: %v since %s", name, over, since)
		}
	}
}
