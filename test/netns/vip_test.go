package netns

import (
	"strings"
	"testing"

	"sluice.io/sluice/test/netns/lab"
)

// TestVIPTwice proves that of two services with one address and port the first
// keeps it, that the second is told, and that it takes over when the first goes.
func TestVIPTwice(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front")
	c := s.client("client")
	s.settle()
	thief := &lab.Service{Namespace: s.ns, Name: "thief", VIP: s.services["front"].VIP, Ports: usual(), Endpoints: []*lab.Pod{s.server("thief")}}
	s.declare(thief)
	s.settle()
	if got := c.tcpName(4, "front:70"); got != "front" {
		t.Errorf("the address goes to %s, want front, which had it first", got)
	}
	told := s.conditions("Service", "thief")["Accepted"]
	address := s.services["front"].VIP.V4.String()
	if told.Status || told.Reason != "AddressInUse" || !strings.Contains(told.Message, address) || !strings.Contains(told.Message, s.ns+"/front") {
		t.Errorf("the second service is told %+v, want AddressInUse, by front, of %s", told, address)
	}
	if c := s.conditions("Service", "front"); c != nil {
		t.Errorf("the first service is told %+v, want nothing", c)
	}
	table, err := s.CLI(t.Context(), "status", "--run-dir", s.RunDir)
	if err != nil || !tabled(table, "Service "+s.ns+"/thief", "AddressInUse", s.file("service-thief")+":1", address) {
		t.Errorf("`sluice status` (%v) has no line of the address that two services want:\n%s", err, table)
	}
	s.remove("service-front")
	s.settle()
	if got := c.tcpName(4, "thief:70"); got != "thief" {
		t.Errorf("after the first has gone the address goes to %s, want thief", got)
	}
	if c := s.conditions("Service", "thief"); c != nil {
		t.Errorf("once it has the address the second service is told %+v", c)
	}
}
