package docs

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"

	"sluice.io/sluice/redirect"
	"sluice.io/sluice/test/netns/lab"
)

// prelude makes what a page's commands find: empty folders where a machine has
// those that Sluice uses by default, a bpf filesystem and a cgroup hierarchy of
// their own, and at /mnt what a clone of the repository has after `make build
// envoy`. All of it is in mount, cgroup, network and process namespaces that go
// with the script.
const prelude = `set -eu
mount --bind "$ENVOY" "$SCRATCH/repo/.cache/envoy/$ENVOY_VERSION/envoy"
mount --rbind "$SCRATCH/repo" /mnt
umount -l "$CGROUP"
mount -t cgroup2 none "$CGROUP"
mount -t bpf none /sys/fs/bpf
for dir in /run /var/lib /dev/shm; do mount -t tmpfs none $dir; done
mount --bind "$SCRATCH/tmp" /tmp
cd /mnt
unset SLUICE_ENVOY
make() { [ "$*" = "build envoy" ]; }
# On a busy machine a second is not always enough for a file to be in force.
sleep() { command sleep $(($1 * 4)); }
`

// play runs a script on a stage of its own and returns what it prints.
func play(t *testing.T, script string) (string, error) {
	t.Helper()
	repo, err := lab.RepoRoot()
	if err != nil {
		t.Fatal(err)
	}
	envoy, err := lab.FindEnvoy(repo)
	if err != nil {
		t.Fatal(err)
	}
	scratch := t.TempDir()
	if err := setUp(scratch); err != nil {
		t.Fatal(err)
	}
	if err := lab.Build(t.Context(), repo, "./cmd/sluice", filepath.Join(scratch, "repo/bin/sluice")); err != nil {
		t.Fatal(err)
	}
	root, err := redirect.CgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	group := openGroup(t, root)
	cmd := exec.CommandContext(t.Context(), "unshare", "--mount", "--propagation", "private", "--cgroup", "--net",
		"--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-c", prelude+script)
	cmd.Env = append(os.Environ(), "SCRATCH="+scratch, "ENVOY="+envoy, "ENVOY_VERSION="+lab.EnvoyVersion, "CGROUP="+root)
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	cmd.WaitDelay = 10 * time.Second
	runtime.LockOSThread() // Pdeathsig is about the thread's death.
	defer runtime.UnlockOSThread()
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%w\n%s", err, &errOut)
	}
	return out.String(), nil
}

func setUp(scratch string) error {
	for _, dir := range []string{"repo/bin", "repo/.cache/envoy/" + lab.EnvoyVersion, "tmp"} {
		if err := os.MkdirAll(filepath.Join(scratch, dir), 0o755); err != nil {
			return err
		}
	}
	// Envoy's own user must find its binary.
	return errors.Join(os.Chmod(scratch, 0o755), os.Chmod(filepath.Join(scratch, "tmp"), 0o1777),
		os.WriteFile(filepath.Join(scratch, "repo/.cache/envoy", lab.EnvoyVersion, "envoy"), nil, 0o755))
}

// openGroup makes the cgroup that is the top of the stage's hierarchy.
func openGroup(t *testing.T, root string) *os.File {
	t.Helper()
	path := filepath.Join(root, fmt.Sprintf("slt-docs-%d", os.Getpid()))
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = f.Close()
		// Where the script failed, Envoy's cgroup is left; its processes are gone.
		if err := lab.Poll(10*time.Second, func() error { return removeGroups(path) }); err != nil {
			t.Error(err)
		}
	})
	return f
}

func removeGroups(path string) error {
	for _, dir := range []string{"sluice/envoy", "sluice", ""} {
		if err := os.Remove(filepath.Join(path, dir)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}
