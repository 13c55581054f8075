// Demo shows Sluice live in the terminal: four network namespaces as pods, a
// folder of YAML, and traffic that follows it, each claim with a proof.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"sluice.io/sluice/test/netns/lab"
)

func main() {
	var p lab.Programs
	flag.StringVar(&p.Sluice, "sluice", "bin/sluice", "the sluice to show")
	flag.StringVar(&p.Testapp, "testapp", ".cache/demo/testapp", "the program that runs in the pods")
	mesh := flag.String("mesh", "demo/mesh", "the folder of YAML")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Stdout, p, *mesh)
	stop()
	if err != nil {
		if ctx.Err() != nil {
			err = errors.New("interrupted; all is cleaned up")
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// run sets the stage, plays the scenes, and clears the stage in every case. It
// is an error when a proof does not hold.
func run(ctx context.Context, out io.Writer, p lab.Programs, mesh string) (err error) {
	if p.Envoy, err = lab.FindEnvoy("."); err != nil {
		return err
	}
	for _, path := range []*string{&p.Sluice, &p.Testapp, &p.Envoy} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	p.CLI = p.Sluice
	l, err := lab.Open("sluice-demo", slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	s, err := newStage(l, out, p, mesh)
	if err != nil {
		return err
	}
	for _, scene := range []func(context.Context) error{
		s.start, s.split, s.header, s.rewrite, s.kernel, s.edit, s.kill, s.uninstall,
	} {
		if err := scene(ctx); err != nil {
			return err
		}
	}
	return s.verdict()
}

// stage is the node, its four pods, and the terminal.
type stage struct {
	terminal
	node                        *lab.Node
	web, cartV1, cartV2, ledger *lab.Pod
}

func newStage(l *lab.Lab, out io.Writer, p lab.Programs, mesh string) (*stage, error) {
	node, err := l.Node("node", p)
	if err != nil {
		return nil, err
	}
	s := &stage{terminal: newTerminal(out), node: node}
	// The order gives the pods the addresses that the YAML names.
	for _, role := range []struct {
		name string
		pod  **lab.Pod
	}{{"web", &s.web}, {"cart-v1", &s.cartV1}, {"cart-v2", &s.cartV2}, {"ledger", &s.ledger}} {
		if *role.pod, err = node.Pod(role.name); err != nil {
			return nil, err
		}
		if role.name == "web" {
			continue // The client.
		}
		if _, err := (*role.pod).Serve(); err != nil {
			return nil, err
		}
	}
	return s, s.copyMesh(mesh)
}

// webNetns is the client's network namespace in the YAML.
const webNetns = "/run/netns/web"

// copyMesh puts the YAML where the demo may edit it. The client's network
// namespace has a name of its own here, lest two demos meet.
func (s *stage) copyMesh(from string) error {
	files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return fmt.Errorf("no YAML in %s", from)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		text := strings.ReplaceAll(string(b), webNetns, s.web.Netns)
		if err := s.node.Folder.Write(filepath.Base(f), text); err != nil {
			return err
		}
	}
	return nil
}
