package report

import (
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/crds/v1alpha1"
	"sluice.io/sluice/model"
)

func rejected(port uint16) model.Rejected {
	return model.Rejected{
		Port: model.PortKey{Gateway: model.GatewayKey{Namespace: "edge", Name: "web"}, Port: port, Protocol: model.UDP}, At: netip.AddrPortFrom(netip.IPv4Unspecified(), port), Message: "taken",
	}
}

// TestReportsAreRare: what is the same as told is not due, nor what lasts a moment,
// nor anything while Envoy has not answered.
func TestReportsAreRare(t *testing.T) {
	var now []model.Rejected
	known := false
	r := &Reporter{Config: Config{Rejected: func() ([]model.Rejected, bool) { return now, known }}}
	at := time.Unix(1e9, 0)
	due := func(after time.Duration, want bool) {
		t.Helper()
		at = at.Add(after)
		if _, got := r.due(at); got != want {
			t.Fatalf("due is %v with %v, told %v", got, now, r.told)
		}
	}
	tell := func() { told := now; r.told = &told }
	due(time.Hour, false) // it is not known
	known = true
	due(0, false)
	due(settle+spread, true) // an earlier agent may have told something
	tell()
	due(time.Hour, false)
	now = []model.Rejected{rejected(53)}
	due(0, false)
	due(settle/2, false)
	now = nil
	due(0, false)
	due(time.Hour, false) // it lasted a moment
	now = []model.Rejected{rejected(53)}
	due(0, false)
	now = []model.Rejected{rejected(53), rejected(54)}
	due(settle+spread, false) // another one: it counts anew
	known = false
	due(time.Hour, false)
	known = true
	due(0, true)
	due(time.Hour, true) // until it is told
	tell()
	due(time.Hour, false)
	now = nil
	due(0, false)
	due(settle+spread, true)
}

// TestReportsFitTheirKind, however much is rejected.
func TestReportsFitTheirKind(t *testing.T) {
	r := &Reporter{Config: Config{Node: "node1"}}
	var all []model.Rejected
	for i := range most + 10 {
		one := rejected(uint16(i + 1))
		one.Message = strings.Repeat("ä", longMessage) // two bytes each
		all = append(all, one)
	}
	body := r.body(metav1.OwnerReference{Kind: "Node", Name: "node1"}, all)
	list, _ := body["rejected"].([]v1alpha1.RejectedPart)
	if len(list) != most || !utf8.ValidString(list[0].Message) || len(list[0].Message) > longMessage || len(list[0].Message) < longMessage-2 || !strings.HasSuffix(list[0].Message, cutOff) || list[0].Address != "0.0.0.0" || list[0].Port != 1 || list[0].Protocol != "UDP" || list[0].Gateway.Name != "web" {
		t.Errorf("%d entries, the first %+v", len(list), list[0])
	}
	routes := model.Rejected{Port: all[0].Port, Host: "a.example.com", Message: "no"}
	body = r.body(metav1.OwnerReference{}, []model.Rejected{routes})
	list, _ = body["rejected"].([]v1alpha1.RejectedPart)
	if len(list) != 1 || list[0].Address != "" || list[0].Host != "a.example.com" || list[0].Message != "no" {
		t.Errorf("routes are told as %+v", list)
	}
}
