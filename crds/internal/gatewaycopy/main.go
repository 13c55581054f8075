// Command gatewaycopy copies the Gateway API's CRDs (experimental channel) from
// the module that go.mod pins into a folder, so that the kinds that Sluice
// decodes and the schemas that it validates by are always of one version.
//
// It owns nothing but the copy; run it with go generate ./crds.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

const module = "sigs.k8s.io/gateway-api"

func main() {
	if len(os.Args) != 2 {
		fail(errors.New("usage: gatewaycopy FOLDER"))
	}
	if err := run(os.Args[1]); err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "gatewaycopy:", err)
	os.Exit(1)
}

// run makes the folder hold exactly the module's CRDs.
func run(to string) error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return fmt.Errorf("find module %s (run go mod download): %w", module, err)
	}
	from := filepath.Join(strings.TrimSpace(string(out)), "config", "crd", "experimental")
	names, err := filepath.Glob(filepath.Join(from, "*.yaml"))
	if err != nil {
		return err
	}
	if err := clearFolder(to); err != nil {
		return err
	}
	copied := 0
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		if !bytes.Contains(data, []byte("\nkind: CustomResourceDefinition\n")) {
			continue
		}
		if err := os.WriteFile(filepath.Join(to, filepath.Base(name)), data, 0o644); err != nil {
			return err
		}
		copied++
	}
	if copied == 0 {
		return fmt.Errorf("no CRD found in %s", from)
	}
	return nil
}

// clearFolder removes what an older version of the module may have left.
func clearFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	old, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	for _, name := range old {
		if err := os.Remove(name); err != nil {
			return err
		}
	}
	return nil
}
