package redirect

import (
	"testing"

	"sluice.io/sluice/model"
)

func TestSkeleton(t *testing.T) {
	cfg := testConfig(t)
	client := newPod(t)
	client.serve("127.0.0.2:8080")
	client.serve("[fd00::2]:8080")
	b := newMesh().workload(client.workload("shop", "client")).
		backend("l4", 80, model.TCP, "127.0.0.2:8080", "[fd00::2]:8080")
	b.front("l4", 80, model.TCP, addrs("10.96.0.1", "fd96::1"))
	b.l7("l7", 80, "10.96.0.2", "fd96::2")
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	envoy := client.start("envoy", cfg.EnvoyCgroup)
	if line, err := envoy.line(); line != "ready" {
		t.Fatal(line, err)
	}
	for addr, want := range map[string]string{
		"10.96.0.1:80":          "127.0.0.2:8080",
		"[fd96::1]:80":          "[fd00::2]:8080",
		"[::ffff:10.96.0.1]:80": "127.0.0.2:8080",
		"10.96.0.2:80":          "envoy 10.96.0.2:80",
		"[fd96::2]:80":          "envoy [fd96::2]:80",
	} {
		c, err := client.dial("tcp", addr)
		if err != nil {
			t.Errorf("dial %s: %v", addr, err)
			continue
		}
		where, err := firstLine(c)
		if err != nil || where != want {
			t.Errorf("%s led to %q (%v), want %q", addr, where, err, want)
		}
		t.Log(addr, where, c.RemoteAddr())
		c.Close()
	}
	dump, err := d.Dump()
	t.Logf("%+v %v", dump, err)
}
