package cluster

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"
)

func TestRangesDiffer(t *testing.T) {
	var all []netip.Prefix
	for n := range 32 {
		r := RangesOf(n)
		for _, p := range []netip.Prefix{r.Nodes, r.Nodes6, r.Pods, r.Pods6, r.Services, r.Services6} {
			for _, other := range all {
				if p.Overlaps(other) {
					t.Fatalf("number %d: %s overlaps %s", n, p, other)
				}
			}
			all = append(all, p)
		}
	}
}

func TestAddresses(t *testing.T) {
	c := Config{Nodes: 12}
	if err := c.complete(); err != nil {
		t.Fatal(err)
	}
	for what, have := range map[string]string{
		"10.200.0.1,fd00:10:200::1":              list(c.controlAddrs()),
		"10.200.0.22,fd00:10:200::22":            list(c.nodeAddrs(12)),
		"10.200.0.109,fd00:10:200::109":          list(c.nodeAddrs(99)),
		"10.128.12.0/24,fd00:10:128:12::/64":     list(c.nodePods(12)),
		"10.96.0.1,fd00:10:96::1":                list(nth(c.serviceRanges(), 1)),
		"10.128.0.0/16,fd00:10:128::/48":         list(c.podRanges()),
		"/var/tmp/sluice-cluster/slc":            c.Dir,
		"pause,echo-basic,echo-advanced,coredns": strings.Join(c.Images, ","),
	} {
		if have != what {
			t.Errorf("have %s, want %s", have, what)
		}
	}
	c.SingleStack = true
	if have := list(c.nodeAddrs(1)); have != "10.200.0.11" {
		t.Errorf("single stack: node 1 has %s", have)
	}
}

func TestBadConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"cluster name":        {Name: "slc-2"},
		"nodes":               {Nodes: 100},
		"kube-proxy":          {KubeProxy: "ipvs"},
		"Gateway API channel": {GatewayAPI: "beta"},
		"want an IPv4 /16":    {Ranges: Ranges{Nodes: netip.MustParsePrefix("10.1.0.0/24")}},
		"range of nodes":      {Ranges: Ranges{Nodes: netip.MustParsePrefix("10.1.0.0/16"), Pods: netip.MustParsePrefix("10.2.0.0/16"), Services: netip.MustParsePrefix("10.3.0.0/16")}},
		"range of":            {Ranges: Ranges{Nodes: netip.MustParsePrefix("10.1.0.0/24"), Pods: netip.MustParsePrefix("10.2.0.0/16"), Services: netip.MustParsePrefix("10.3.0.0/16")}},
	} {
		if err := c.complete(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error is %v, want one with %q", c, err, want)
		}
	}
}

// A cluster that is up is compared with what is asked for, after a way through a file.
func TestConfigSurvivesItsFile(t *testing.T) {
	for _, c := range []Config{{}, {SingleStack: true, Images: []string{}, Args: map[string][]string{"etcd": {"--x"}}}, {Args: map[string][]string{}}} {
		if err := c.complete(); err != nil {
			t.Fatal(err)
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		var back Config
		if err := json.Unmarshal(b, &back); err != nil {
			t.Fatal(err)
		}
		if !c.equal(back) {
			t.Errorf("%+v came back as %+v", c, back)
		}
	}
	a, b := Config{Name: "a"}, Config{Name: "a", Nodes: 3}
	if a.equal(b) {
		t.Error("another number of nodes is another configuration")
	}
}

func TestOwnGroup(t *testing.T) {
	own := map[string]string{"": "/two", "cpu,cpuacct": "/x", "name=systemd": "/y", "memory": "/z"}
	for options, want := range map[string]string{
		"rw,cpu,cpuacct": "/x", "rw,name=systemd": "/y", "rw,xattr,memory": "/z", "rw,pids": "", "rw": "",
	} {
		if have, _ := ownOf(own, options); have != want {
			t.Errorf("hierarchy %s: our group is %q, want %q", options, have, want)
		}
	}
	if _, ok := ownOf(own, "rw,memory"); ok {
		t.Error("a hierarchy that is mounted twice counts twice")
	}
}
