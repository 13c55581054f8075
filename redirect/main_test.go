package redirect

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// testRoot is this run's own cgroup: programs are attached there, and the test
// process lives in it, so that nobody else on the machine is steered.
var testRoot string

func TestMain(m *testing.M) {
	if role := os.Getenv(roleVar); role != "" {
		os.Exit(play(role))
	}
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if testing.Short() {
		return m.Run()
	}
	leave, err := enterCgroup()
	if err != nil {
		fmt.Fprintln(os.Stderr, "these tests need root and cgroup2 (or -short):", err)
		return 1
	}
	defer leave()
	code := m.Run()
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

// enterCgroup moves the test process into a cgroup of its own.
func enterCgroup() (leave func(), err error) {
	root, err := CgroupRoot()
	if err != nil {
		return nil, err
	}
	testRoot = filepath.Join(root, fmt.Sprintf("slt-%d", os.Getpid()))
	clients := filepath.Join(testRoot, "clients")
	if err := os.MkdirAll(clients, 0o755); err != nil {
		return nil, err
	}
	join := func(dir string) error {
		return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0)
	}
	if err := join(clients); err != nil {
		return nil, err
	}
	return func() {
		if err := join(root); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Remove(clients)
		os.Remove(testRoot)
	}, nil
}
