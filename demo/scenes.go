package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"sluice.io/sluice/test/netns/lab"
)

// start runs sluice on the folder.
func (s *stage) start(ctx context.Context) error {
	s.title("A node with four pods, and a folder of YAML")
	s.say("pods: web %s, cart-v1 %s, cart-v2 %s, ledger %s", s.web.V4, s.cartV1.V4, s.cartV2.V4, s.ledger.V4)
	s.command("sluice run -f mesh/ &")
	if err := s.node.Start(ctx); err != nil {
		return err
	}
	s.command("sluice get services")
	out, err := s.node.CLI(ctx, "get", "services", "--run-dir", s.node.RunDir)
	if err != nil {
		return err
	}
	s.quote(out)
	return nil
}

// split shows weights.
func (s *stage) split(ctx context.Context) error {
	s.title("A 90/10 split between two versions")
	s.say("300 requests from web to cart, each on a new connection:")
	t, err := s.requests(ctx, 300, "/items")
	if err != nil {
		return err
	}
	s.proof(t.split(300, "cart-v1", "cart-v2", 0.1), "%s", t)
	s.proof(only(t.clients, s.web.V4.String()), "the servers saw %s: web's own address, not a proxy's", seen(t.clients))
	return nil
}

// header shows a match, and how it is explained.
func (s *stage) header(ctx context.Context) error {
	s.title("Who asks for the beta gets it")
	t, err := s.requests(ctx, 20, "/items", "-H", "version: beta")
	if err != nil {
		return err
	}
	s.proof(t.all(20, "cart-v2"), "20 requests with `version: beta`: %s", t)
	args := []string{"explain", "--from", "shop/web", "--to", "cart:80", "--path", "/items", "-H", "version: beta"}
	s.command("sluice " + strings.Join(args[:8], " ") + " 'version: beta'")
	out, err := s.node.CLI(ctx, append(args, "--run-dir", s.node.RunDir)...)
	if err != nil {
		return err
	}
	s.quote(strings.NewReplacer(s.node.Folder.Dir, "mesh", s.web.Netns, webNetns).Replace(out))
	s.proof(strings.Contains(out, "outcome   goes to "+s.cartV2.V4.String()+":8080"), "that is cart-v2's address")
	return nil
}

// rewrite shows a filter.
func (s *stage) rewrite(ctx context.Context) error {
	s.title("An old path still works")
	t, err := s.requests(ctx, 10, "/basket/7?full=1")
	if err != nil {
		return err
	}
	s.proof(t.all(10, "cart-v1") && only(t.paths, "/items/7?full=1"), "web asked for /basket/7?full=1, the server saw %s", seen(t.paths))
	return nil
}

// kernel shows that what needs no layer 7 never meets Envoy.
func (s *stage) kernel(ctx context.Context) error {
	s.title("What needs no layer 7 stays in the kernel")
	const n = 100
	envoyBefore, err := s.envoyConnections(ctx)
	if err != nil {
		return err
	}
	kernelBefore, err := s.kernelConnections(ctx)
	if err != nil {
		return err
	}
	reports, err := s.connections(ctx, n)
	if err != nil {
		return err
	}
	envoyAfter, err := s.envoyConnections(ctx)
	if err != nil {
		return err
	}
	kernelAfter, err := s.kernelConnections(ctx)
	if err != nil {
		return err
	}
	s.proof(len(reports) == n, "%d TCP connections from web to ledger at %s", len(reports), ledgerVIP)
	s.proof(kernelAfter-kernelBefore == n && envoyAfter == envoyBefore,
		"the kernel balanced %d of them, Envoy accepted %d", kernelAfter-kernelBefore, envoyAfter-envoyBefore)
	s.proof(s.fromWeb(reports, n), "ledger saw %s; web's getpeername() shows %s", reports[0].Remote, reports[0].Peername)
	return nil
}

// edit shows that a changed file takes effect, under load.
func (s *stage) edit(ctx context.Context) error {
	s.title("An edit takes effect, and no request fails")
	path := s.node.Folder.Path("cart.yaml")
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	edited := strings.NewReplacer("weight: 90", "weight: 0", "weight: 10", "weight: 100").Replace(string(b))
	if edited == string(b) {
		return fmt.Errorf("%s has no weights 90 and 10 to edit", path)
	}
	during, err := s.underWay(ctx)
	if err != nil {
		return err
	}
	s.command("sed -i 's/weight: 90/weight: 0/; s/weight: 10/weight: 100/' mesh/cart.yaml")
	began := time.Now()
	if err := s.node.Folder.Write("cart.yaml", edited); err != nil {
		return err
	}
	err = lab.Poll(20*time.Second, func() error {
		t, err := s.requests(ctx, 10, "/items")
		if err == nil && t.by["cart-v2"] != 10 {
			err = fmt.Errorf("10 requests after the edit: %s", t)
		}
		return err
	})
	if err != nil {
		return err
	}
	s.proof(true, "%s later all requests go to cart-v2", time.Since(began).Round(time.Millisecond))
	r := <-during
	if r.err != nil {
		return r.err
	}
	s.proof(r.t.by["cart-v1"]+r.t.by["cart-v2"] == 2000, "2000 requests that were under way meanwhile: %s", r.t)
	return nil
}

type result struct {
	t   *tally
	err error
}

// underWay starts 2000 requests and returns when some have been answered.
func (s *stage) underWay(ctx context.Context) (<-chan result, error) {
	before, err := s.envoyConnections(ctx)
	if err != nil {
		return nil, err
	}
	during := make(chan result, 1)
	go func() {
		t, err := s.requests(ctx, 2000, "/items")
		during <- result{t, err}
	}()
	return during, lab.Poll(20*time.Second, func() error {
		now, err := s.envoyConnections(ctx)
		if err == nil && now < before+200 {
			err = fmt.Errorf("only %d of 2000 requests were made", now-before)
		}
		return err
	})
}

// kill shows that sluice is not in the way of traffic.
func (s *stage) kill(ctx context.Context) error {
	s.title("sluice is killed with SIGKILL, and nobody notices")
	s.command("kill -9 $(pidof sluice)")
	if err := s.node.Sluice().Kill(); err != nil {
		return err
	}
	t, err := s.requests(ctx, 50, "/items")
	if err != nil {
		return err
	}
	reports, err := s.connections(ctx, 50)
	if err != nil {
		return err
	}
	s.proof(t.all(50, "cart-v2"), "50 requests through Envoy: %s", t)
	s.proof(s.fromWeb(reports, 50), "50 connections in the kernel: %d", len(reports))
	return nil
}

// uninstall shows that nothing is left.
func (s *stage) uninstall(ctx context.Context) error {
	s.title("And away again")
	s.command("sluice uninstall")
	if _, err := s.node.Uninstall(ctx); err != nil {
		return err
	}
	for _, path := range []string{s.node.RunDir, s.node.BPFFS, s.node.EnvoyCgroup()} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%s is left: %w", path, err)
		}
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), s.node.RunDir) {
		return fmt.Errorf("a mount below %s is left", s.node.RunDir)
	}
	s.proof(true, "the pins that hold programs and maps, Envoy with its cgroup, mounts and files: gone")
	return nil
}
