package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// terminal prints; in colours when somebody looks.
type terminal struct {
	out     io.Writer
	colours bool
	scene   int
	// proofs counts those that were shown, broken those that did not hold.
	proofs, broken int
}

func newTerminal(out io.Writer) terminal {
	f, ok := out.(*os.File)
	return terminal{out: out, colours: ok && term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""}
}

const (
	bold  = "1"
	red   = "31"
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
	fmt.Fprintf(t.out, "\n%s\n", t.paint(bold, fmt.Sprintf("%d. %s", t.scene, text)))
}

// say explains.
func (t *terminal) say(format string, args ...any) {
	fmt.Fprintf(t.out, "   %s\n", fmt.Sprintf(format, args...))
}

// command shows what is run.
func (t *terminal) command(text string) { fmt.Fprintf(t.out, "   %s\n", t.paint(cyan, "$ "+text)) }

// quote shows what a command printed.
func (t *terminal) quote(text string) {
	for line := range strings.Lines(strings.TrimRight(text, "\n")) {
		fmt.Fprintf(t.out, "     %s\n", t.paint(dim, strings.TrimRight(line, "\n")))
	}
}

// proof shows a fact that was measured, and whether it is as it should be.
func (t *terminal) proof(holds bool, format string, args ...any) {
	t.proofs++
	mark := t.paint(green, "✓")
	if !holds {
		t.broken++
		mark = t.paint(red, "✗")
	}
	fmt.Fprintf(t.out, "   %s %s\n", mark, fmt.Sprintf(format, args...))
}

// verdict is an error unless all proofs held.
func (t *terminal) verdict() error {
	if t.broken > 0 {
		return fmt.Errorf("%d of %d proofs did not hold", t.broken, t.proofs)
	}
	return nil
}
