package redirect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// removePins removes the pins, links first and what steers before what answers
// for it, so that at no time a connection is steered and then forgotten.
func removePins(dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if !isBPFFS(dir) {
		return fmt.Errorf("%s is not on a bpf filesystem: nothing of it is removed", dir)
	}
	for _, name := range []string{"lookup", "connect4", "connect6", "sendmsg4", "sendmsg6"} {
		if err := os.Remove(filepath.Join(dir, linksDir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("detach %s: %w", name, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the pins: %w", err)
	}
	return nil
}
