package lab

import (
	"os"
	"path/filepath"

	"sluice.io/sluice/test/namespaces"
)

// sysctls writes settings below /proc/sys of a network namespace.
func sysctls(netns string, settings map[string]string) error {
	return namespaces.Do(netns, func() error {
		for name, value := range settings {
			if err := os.WriteFile(filepath.Join("/proc/sys", name), []byte(value), 0); err != nil {
				return err
			}
		}
		return nil
	})
}
