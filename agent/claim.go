package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// claimPatience is how long a claim waits for a process that is ending: it loses the
// lock of its run directory a moment before the others.
const claimPatience = time.Second

// Claim is the right to work on the data path: the folder of pins, the cgroup and the
// state are locked, whatever run directory they are used from. The kernel drops it when
// the process ends, however it ends.
type Claim struct{ folders []*os.File }

// Claim locks those of the places that exist. Whoever calls has the lock of the run
// directory.
func (p Paths) Claim(ctx context.Context, stateDir string) (*Claim, error) {
	c := &Claim{}
	for _, dir := range []string{p.BPFFS, p.ownCgroup(), stateDir} {
		f, err := awaitFolder(ctx, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			c.Drop()
			return nil, err
		}
		c.folders = append(c.folders, f)
	}
	return c, nil
}

// Drop lets others have the places.
func (c *Claim) Drop() {
	for _, f := range c.folders {
		_ = f.Close()
	}
}

// ownCgroup is the cgroup that holds all of Sluice's.
func (p Paths) ownCgroup() string { return filepath.Dir(p.EnvoyCgroup()) }

func awaitFolder(ctx context.Context, dir string) (*os.File, error) {
	end := time.Now().Add(claimPatience)
	for {
		f, err := os.Open(dir)
		if err != nil {
			return nil, fmt.Errorf("open what is to be locked: %w", err)
		}
		locked, err := lockFile(f, dir)
		if locked {
			return f, nil
		}
		_ = f.Close()
		if err != nil && (!errors.Is(err, ErrLocked) || time.Now().After(end)) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, errors.Join(err, ctx.Err())
		case <-time.After(lockPause):
		}
	}
}
