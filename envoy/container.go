package envoy

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// foreign tells that a process is in another container, and ends with that: it has
// another mount namespace.
func (c Config) foreign(p *process) bool {
	if !c.Container {
		return false
	}
	is, err := elsewhere(p.PID)
	return err == nil && is
}

func elsewhere(pid int) (bool, error) {
	own, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		return false, fmt.Errorf("look at our own mount namespace: %w", err)
	}
	its, err := os.Readlink(fmt.Sprintf("/proc/%d/ns/mnt", pid))
	if err != nil {
		return false, fmt.Errorf("look at Envoy's mount namespace (is CAP_SYS_PTRACE missing?): %w", err)
	}
	return its != own, nil
}

// Serves tells whether the Envoy that serves is of the container in which it is
// asked; the error says why not. Another supervisor may mind it.
func Serves(ctx context.Context, cfg Config) error {
	c := cfg.withDefaults()
	p, err := c.find()
	if err != nil {
		return err
	}
	if p == nil {
		return errors.New("no Envoy runs")
	}
	defer p.close()
	is, err := elsewhere(p.PID)
	if err != nil {
		return err
	}
	if is {
		return fmt.Errorf("the Envoy that runs (pid %d) is of another container", p.PID)
	}
	if live, _ := c.live(ctx); !live {
		return fmt.Errorf("the Envoy that runs (pid %d) has no configuration yet", p.PID)
	}
	if epoch := c.epoch(ctx); epoch != p.Epoch {
		return fmt.Errorf("the Envoy that runs (pid %d) has not taken over yet: it is epoch %d, and %d answers", p.PID, p.Epoch, epoch)
	}
	return nil
}
