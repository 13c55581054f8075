package main

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal prints; in colours when somebody looks.
type terminal struct {
	colours bool
	scene   int
}

func newTerminal() terminal {
	return terminal{colours: term.IsTerminal(int(os.Stdout.Fd())) && os.Getenv("NO_COLOR") == ""}
}

const (
	bold  = "1"
	green = "32"
	dim   = "2"
	cyan  = "36"
)

func (t *terminal) paint(style, text string) string {
	if !t.colours {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// title opens a scene.
func (t *terminal) title(text string) {
	t.scene++
	fmt.Printf("\n%s\n", t.paint(bold, fmt.Sprintf("%d. %s", t.scene, text)))
}

// say explains.
func (t *terminal) say(format string, args ...any) {
	fmt.Printf("   %s\n", fmt.Sprintf(format, args...))
}

// command shows what is run.
func (t *terminal) command(text string) { fmt.Printf("   %s\n", t.paint(cyan, "$ "+text)) }

// quote shows what a command printed.
func (t *terminal) quote(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Printf("     %s\n", t.paint(dim, strings.TrimRight(line, "\n")))
	}
}

// proof shows a fact that was measured, not assumed.
func (t *terminal) proof(format string, args ...any) {
	fmt.Printf("   %s %s\n", t.paint(green, "✓"), fmt.Sprintf(format, args...))
}
