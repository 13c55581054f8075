package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice.io/sluice/agent"
)

// TestTablesOfSockets: what the kernel prints is read, of either family, and nothing
// of what is elsewhere, or connected.
func TestTablesOfSockets(t *testing.T) {
	const head = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	line := func(at, state, inode string) string {
		return fmt.Sprintf("   0: %s 00000000:0000 %s 00000000:00000000 00:00000000 00000000     0        0 %s 1 0000000000000000 100 0 0 10 0\n", at, state, inode)
	}
	for table, want := range map[string]string{
		line("0100007F:4E20", "0A", "1"):                         "[127.0.0.1:20000/TCP]",
		line("00000000:752F", "0A", "1"):                         "[0.0.0.0:29999/TCP]",
		line("B80D0120000000000000000001000000:4E21", "0A", "1"): "[[2001:db8::1]:20001/TCP]",
		line("0100007F:4E1F", "0A", "1"):                         "[]",
		line("0100007F:7530", "0A", "1"):                         "[]",
		line("0100007F:4E20", "01", "1"):                         "[]",
		line("0100007F", "0A", "1") + line("XX:4E20", "0A", "1"): "[]",
	} {
		if got := fmt.Sprint(readSockets(head+table, false)); got != want {
			t.Errorf("%s is read as %s, want %s", table, got, want)
		}
	}
	if got := fmt.Sprint(readSockets(head+line("0100007F:4E20", "07", "1")+line("0100007F:4E21", "01", "2"), true)); got != "[127.0.0.1:20000/UDP]" {
		t.Errorf("datagrams are read as %s", got)
	}
}

// TestProgramsAtTargets: one that has such a port is named, unless it is Sluice's Envoy.
func TestProgramsAtTargets(t *testing.T) {
	var port int
	for p := 20000; p <= 29999 && port == 0; p++ {
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", p)); err == nil {
			port = p
			t.Cleanup(func() { _ = l.Close() })
		}
	}
	root := t.TempDir()
	want := fmt.Sprintf("127.0.0.1:%d/TCP (", port)
	paths := agent.Paths{CgroupRoot: root}
	f := checkTargets("/proc", paths)
	if f.OK || f.Required || !strings.Contains(f.Detail, want) || !strings.Contains(f.Detail, fmt.Sprintf("pid %d)", os.Getpid())) {
		t.Errorf("%+v, want %q", f, want)
	}
	if err := os.MkdirAll(filepath.Join(root, "sluice/envoy"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "sluice/envoy/cgroup.procs"), fmt.Appendln(nil, os.Getpid()), 0o600); err != nil {
		t.Fatal(err)
	}
	if f := checkTargets("/proc", paths); strings.Contains(f.Detail, want) {
		t.Errorf("%+v, but it is Envoy's", f)
	}
}
