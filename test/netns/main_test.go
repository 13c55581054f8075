package netns

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice.io/sluice/test/netns/lab"
)

// machine is what all tests of one run share.
var machine struct {
	once     sync.Once
	err      error
	lab      *lab.Lab
	programs lab.Programs
	shared   *world
}

func TestMain(m *testing.M) {
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		select {
		case <-interrupted:
		case <-ended:
			return
		}
		if err := cleanUp(); err != nil {
			fmt.Fprintln(os.Stderr, "clean up:", err)
		}
		os.Exit(130)
	}()
	code := m.Run()
	err := errors.Join(finalChecks(), cleanUp())
	signal.Stop(interrupted)
	close(ended)
	if err = errors.Join(err, goleak.Find()); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL:", err)
		code = 1
	}
	os.Exit(code)
}

// cleanUp removes all that the run has made, and looks whether it is gone.
func cleanUp() error {
	if machine.lab == nil {
		return nil
	}
	err := machine.lab.Close()
	left, leftErr := lab.Left(machine.lab.Prefix())
	if len(left) > 0 {
		leftErr = fmt.Errorf("left behind:\n%s", strings.Join(left, "\n"))
	}
	return errors.Join(err, leftErr)
}

// finalChecks are those that every sluice of the run must pass, whatever the
// tests did to it.
func finalChecks() error {
	if machine.shared == nil {
		return nil
	}
	return machine.shared.healthy()
}

// prepare builds the programs and starts the world that most tests share.
func prepare(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and Envoy")
	}
	needKernel(t)
	machine.once.Do(func() { machine.err = setUp() })
	if machine.err != nil {
		t.Fatal(machine.err)
	}
}

func setUp() error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	repo, err := lab.RepoRoot()
	if err != nil {
		return err
	}
	envoy, err := lab.FindEnvoy(repo)
	if err != nil {
		return err
	}
	if machine.lab, err = lab.Open("slt-e2e", slog.Default()); err != nil {
		return err
	}
	machine.programs, err = programs(ctx, repo, envoy)
	if err != nil {
		return err
	}
	machine.shared, err = newWorld("shared")
	if err != nil {
		return err
	}
	return machine.shared.Start(ctx)
}

// programs builds what the tests run: sluice with the race detector to serve,
// sluice without it for the command line, and the test program. $SLUICE_BIN names
// a sluice that is built already, for both.
func programs(ctx context.Context, repo, envoy string) (lab.Programs, error) {
	dir := machine.lab.Dir()
	p := lab.Programs{
		Envoy: envoy, Sluice: os.Getenv("SLUICE_BIN"), CLI: os.Getenv("SLUICE_BIN"),
		Testapp: filepath.Join(dir, "testapp"),
	}
	if p.Sluice == "" {
		p.Sluice, p.CLI = filepath.Join(dir, "sluice-race"), filepath.Join(dir, "sluice")
		if err := lab.Build(ctx, repo, "./cmd/sluice", p.Sluice, "-race"); err != nil {
			return p, err
		}
		if err := lab.Build(ctx, repo, "./cmd/sluice", p.CLI); err != nil {
			return p, err
		}
	}
	return p, lab.Build(ctx, repo, "./test/apps/testapp", p.Testapp)
}

// testName is the running test's name, fit for a Kubernetes name.
func testName(t *testing.T) string {
	name := strings.ToLower(strings.TrimPrefix(t.Name(), "Test"))
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, name)
	return name[:min(len(name), 30)]
}
