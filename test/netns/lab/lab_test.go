package lab_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice.io/sluice/test/apps/echo"
	"sluice.io/sluice/test/netns/lab"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestPodsReachEachOther proves the ground that all other tests stand on: pods
// talk over both families, with their own addresses, and what nobody has is
// refused at once.
func TestPodsReachEachOther(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root")
	}
	ctx := t.Context()
	repo, err := lab.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(t.TempDir(), "testapp")
	if err := lab.Build(ctx, repo, "./test/apps/testapp", app); err != nil {
		t.Fatal(err)
	}
	l, err := lab.Open("slt-lab", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		assertNothingLeft(t, l.Prefix())
	})
	n, err := l.Node("one", lab.Programs{Testapp: app})
	if err != nil {
		t.Fatal(err)
	}
	client, server, local := newPod(t, n.Pod, "client"), newPod(t, n.Pod, "server"), newPod(t, n.HostPod, "local")
	if _, err := server.Serve(); err != nil {
		t.Fatal(err)
	}
	for _, from := range []*lab.Pod{client, local} {
		d, err := from.Dialer()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range []int{4, 6} {
			c, err := d.Dial(ctx, "tcp", netip.AddrPortFrom(server.Addr(family), 7000).String())
			if err != nil {
				t.Fatalf("%s to server over IPv%d: %v", from.Name, family, err)
			}
			said, err := echo.Greeted(c)
			if err != nil {
				t.Fatal(err)
			}
			if said.Name != "server" || said.Remote.Addr() != from.Addr(family) {
				t.Errorf("%s greeted %s over IPv%d, want server to greet %s", said.Name, said.Remote, family, from.Addr(family))
			}
			_ = c.Close()
			start := time.Now()
			nobody := n.VIP().Addr(family)
			if _, err := d.Dial(ctx, "tcp", netip.AddrPortFrom(nobody, 80).String()); err == nil || time.Since(start) > 5*time.Second {
				t.Errorf("dial an address that nobody has, over IPv%d: %v after %s, want an error at once", family, err, time.Since(start))
			}
		}
	}
	if err := client.Delete(); err != nil {
		t.Error(err)
	}
}

func newPod(t *testing.T, make func(string) (*lab.Pod, error), name string) *lab.Pod {
	t.Helper()
	p, err := make(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func assertNothingLeft(t *testing.T, prefix string) {
	t.Helper()
	left, err := lab.Left(prefix)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
}

// TestSweep proves that what a killed process left is swept by the next.
func TestSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root")
	}
	if os.Getenv("SLUICE_LAB_CHILD") != "" {
		openAndHang(t)
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestSweep$")
	cmd.Env = append(os.Environ(), "SLUICE_LAB_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 64)
	if n, err := out.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "made") {
		t.Fatalf("child: %q, %v", buf[:n], err)
	}
	_ = cmd.Process.Signal(syscall.SIGKILL)
	_ = cmd.Wait()
	l, err := lab.Open("slt-sweep", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	assertNothingLeft(t, fmt.Sprintf("slt-sweep-%d", cmd.Process.Pid))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func openAndHang(t *testing.T) {
	l, err := lab.Open("slt-sweep", slog.Default())
	if err != nil {
		t.Fatal(err)
	}
	n, err := l.Node("one", lab.Programs{})
	if err != nil {
		t.Fatal(err)
	}
	p, err := n.Pod("left")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = p.Run(context.Background(), "sleep", "600") }()
	fmt.Println("made")
	select {}
}
