package main

import (
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// TestEveryVerbHelps: each has a line of its own in the list, and an example that
// can be typed as it stands.
func TestEveryVerbHelps(t *testing.T) {
	var verbs int
	var look func(*cobra.Command)
	look = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			verbs++
			if c.Short == "" || strings.HasSuffix(c.Short, ".") {
				t.Errorf("`%s` is listed as %q", c.CommandPath(), c.Short)
			}
			if !strings.HasPrefix(c.Example, "  "+c.CommandPath()) {
				t.Errorf("`%s` has no example of its own: %q", c.CommandPath(), c.Example)
			}
			look(c)
		}
	}
	look(root())
	if verbs < 14 {
		t.Errorf("only %d verbs were looked at", verbs)
	}
}
