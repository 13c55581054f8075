// Command cmd installs Sluice on a cluster of test/cluster, and runs the
// conformance suite against it.
//
// It owns the words of the command line. What is installed is package install's.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/install"
)

const usage = `usage: install [-name slc] COMMAND
  install [HELM FLAGS]    build the image, load it, install the chart or upgrade to it, with addresses for Gateways
  helm ARGS               helm as administrator
  uninstall               remove the release
  logs                    copy logs, events and statuses into a folder
  image ARCHIVE NAME      write the image of the working tree; needs no cluster
  conformance [flags] [-- SUITE FLAGS]
                          run the Gateway API's conformance suite; conformance -h lists the flags
The cluster must be up, with the experimental CRDs: make cluster
`

// userName is the cluster of ` + "`make cluster`" + `: somebody works with it.
const userName = "slc"

// usageError is a command line that says nothing we know.
type usageError struct{}

func (usageError) Error() string { return usage }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
	case errors.As(err, &exit):
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("install", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	name := flags.String("name", "", "")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return usageError{}
	}
	command, args := flags.Arg(0), flags.Args()[1:]
	switch command {
	case "conformance":
		return conformance(ctx, *name, args)
	case "image":
		return image(ctx, args)
	}
	c, err := open(ctx, *name)
	if err != nil {
		return err
	}
	if command == "logs" {
		dir, err := install.SaveLogs(ctx, c)
		fmt.Println(dir)
		return err
	}
	r, err := install.Prepare(ctx, c, os.Stdout)
	if err != nil {
		return err
	}
	switch command {
	case "install":
		return errors.Join(r.Install(ctx, args...), r.Pool(ctx))
	case "helm":
		out, err := r.Helm(ctx, args...)
		fmt.Print(out)
		return err
	case "uninstall":
		return r.Uninstall(ctx)
	}
	return usageError{}
}

func open(ctx context.Context, name string) (*cluster.Cluster, error) {
	c, err := cluster.Open(ctx, cmp.Or(name, userName), os.Stdout)
	if err != nil {
		return nil, fmt.Errorf("%w: `make cluster` brings one up", err)
	}
	return c, nil
}

// image writes the image that the chart asks for, to be brought to a registry.
func image(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return usageError{}
	}
	file, name := args[0], args[1]
	if !strings.Contains(path.Base(name), ":") {
		return fmt.Errorf("%s: want a name with a tag, such as registry.example.com/sluice:v1", name)
	}
	cache, err := build.Open(func(format string, args ...any) { fmt.Printf(format+"\n", args...) })
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	if err := cache.WriteSluice(ctx, file, name); err != nil {
		return err
	}
	fmt.Printf("%s is in %s\n", name, file)
	return nil
}
