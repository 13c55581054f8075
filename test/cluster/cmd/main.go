// Command cmd is package cluster on the command line.
//
// It owns the words of the command line. Whatever a cluster is, it must not know.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/cluster/machine"
	"sluice.io/sluice/test/cluster/oci"
)

const usage = `usage: cluster [-name slc] COMMAND
  up [flags]                bring it up; up -h lists the flags
  build                     build what it is made of, and no more
  down                      take it down, leaving nothing
  status                    list its components
  kubectl ARGS              kubectl as administrator
  exec CMD                  a program of this machine in the control plane's network namespace
  node I CMD                the same in that of node I
  pod NAMESPACE/POD CMD     the same in a pod's
  inside I CMD              a program in all of node I's namespaces; by its full path
  load ARCHIVE...           import images on each node
  image [flags] FILE...     write an image's archive from files; image -h lists the flags
  stop COMPONENT [SIGNAL]   end a component (KILL)
  start COMPONENT           start it again
  log COMPONENT             print its log
  gateway-api CHANNEL       install the CRDs: experimental or standard
`

// usageError is a command line that says nothing we know.
type usageError struct{}

func (usageError) Error() string { return usage }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.As(err, &exit):
		os.Exit(exit.ExitCode()) // It has said why.
	default:
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cluster", flag.ContinueOnError)
	flags.Usage = func() { fmt.Fprint(os.Stderr, usage) }
	name := flags.String("name", "slc", "")
	if err := flags.Parse(args); err != nil {
		return flagError(err)
	}
	if flags.NArg() == 0 {
		return usageError{}
	}
	command, args := flags.Arg(0), flags.Args()[1:]
	if alone[command] && len(args) > 0 {
		return usageError{} // such as `down -name x`, which would take down another one
	}
	switch command {
	case "up":
		return up(ctx, *name, args)
	case "build":
		return cluster.Build(ctx, os.Stdout)
	case "down":
		return cluster.Down(ctx, *name, os.Stdout)
	case "image":
		return image(args)
	}
	c, err := cluster.Open(ctx, *name, os.Stdout)
	if err != nil {
		return err
	}
	return use(ctx, c, command, args)
}

// alone are the commands that take no arguments.
var alone = map[string]bool{"build": true, "down": true, "status": true}

// flagError hides that help was asked for: it has been given.
func flagError(err error) error {
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	return err
}

// use runs the commands for a cluster that is up.
func use(ctx context.Context, c *cluster.Cluster, command string, args []string) error {
	need := map[string]int{"exec": 1, "node": 2, "pod": 2, "inside": 2, "load": 1, "stop": 1, "start": 1, "log": 1, "gateway-api": 1}
	if len(args) < need[command] {
		return usageError{}
	}
	switch command {
	case "status":
		return status(ctx, c)
	case "kubectl":
		return attach(c.Control(), c.KubectlCommand(ctx, args...))
	case "exec":
		return attach(c.Control(), program(ctx, c, args))
	case "node", "inside":
		i, err := strconv.Atoi(args[0])
		if err != nil || i < 1 || i > c.Nodes() {
			return fmt.Errorf("there is no node %s: there are 1 to %d", args[0], c.Nodes())
		}
		if command == "inside" {
			out, err := c.InNode(ctx, i, args[1:]...)
			fmt.Print(out)
			return err
		}
		return attach(c.Node(i), program(ctx, c, args[1:]))
	case "pod":
		namespace, pod, _ := strings.Cut(args[0], "/")
		place, err := c.Pod(ctx, namespace, pod)
		if err != nil {
			return err
		}
		return attach(place, program(ctx, c, args[1:]))
	case "load":
		for _, path := range args {
			if err := c.LoadImage(ctx, path); err != nil {
				return err
			}
		}
		return nil
	case "stop":
		sig, err := machine.SignalOf(append(args, "KILL")[1])
		if err != nil {
			return err
		}
		return c.StopComponent(ctx, args[0], sig)
	case "start":
		return c.StartComponent(ctx, args[0])
	case "log":
		return printLog(ctx, c, args[0])
	case "gateway-api":
		return c.InstallGatewayAPI(ctx, args[0])
	}
	return usageError{}
}

// program prepares a program of this machine that is to find the cluster.
func program(ctx context.Context, c *cluster.Cluster, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+c.Kubeconfig())
	return cmd
}

// attach runs a program in a place, at this terminal.
func attach(p cluster.Place, cmd *exec.Cmd) error {
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	// The terminal tells it of an interrupt itself.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if err := p.Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

func status(ctx context.Context, c *cluster.Cluster) error {
	list, err := c.Components(ctx)
	if err != nil {
		return err
	}
	for _, comp := range list {
		what := "runs"
		if !comp.Running {
			what = "stopped"
			if comp.Exit != "" {
				what += " (" + comp.Exit + ")"
			}
		}
		fmt.Printf("%-22s %-24s %s\n", comp.Name, what, comp.Log)
	}
	return nil
}

func printLog(ctx context.Context, c *cluster.Cluster, name string) error {
	list, err := c.Components(ctx)
	if err != nil {
		return err
	}
	for _, comp := range list {
		if comp.Name == strings.TrimPrefix(name, "kube-") {
			b, err := os.ReadFile(comp.Log)
			if err == nil {
				_, err = os.Stdout.Write(b)
			}
			return err
		}
	}
	return fmt.Errorf("there is no component %q: status lists them", name)
}

// several is a flag that may be given several times.
type several []string

func (s *several) String() string     { return strings.Join(*s, ",") }
func (s *several) Set(v string) error { *s = append(*s, v); return nil }

func up(ctx context.Context, name string, args []string) error {
	cfg := cluster.Config{Name: name, Progress: os.Stdout, Args: map[string][]string{}}
	flags := flag.NewFlagSet("up", flag.ContinueOnError)
	var more, images several
	flags.IntVar(&cfg.Nodes, "nodes", 2, "number of `nodes`")
	number := flags.Int("number", 0, "0 to 31: clusters of different `number` have different addresses")
	flags.BoolVar(&cfg.SingleStack, "single-stack", false, "IPv4 only")
	proxy := flags.String("kube-proxy", "iptables", "`mode`: iptables, nftables or none")
	flags.Var(&more, "arg", "`COMPONENT=--FLAG=VALUE`, for etcd, apiserver, controller-manager, scheduler, kubelet, containerd, kube-proxy; several times")
	flags.Var(&images, "image", "load only this `image` and pause: echo-basic, echo-advanced, coredns, or an archive's path; several times")
	flags.StringVar(&cfg.GatewayAPI, "gateway-api", "", "install the CRDs of the `channel`: experimental or standard")
	flags.BoolVar(&cfg.CertManager, "cert-manager", false, "install cert-manager, without its auto-approver")
	if err := flags.Parse(args); err != nil {
		return flagError(err)
	}
	if *number < 0 || *number > 31 {
		return fmt.Errorf("number %d: want 0 to 31", *number)
	}
	cfg.Ranges, cfg.KubeProxy, cfg.Images = cluster.RangesOf(*number), cluster.KubeProxy(*proxy), images
	for _, a := range more {
		component, arg, ok := strings.Cut(a, "=")
		if !ok {
			return fmt.Errorf("-arg %s: want COMPONENT=--FLAG=VALUE", a)
		}
		cfg.Args[component] = append(cfg.Args[component], arg)
	}
	_, err := cluster.Up(ctx, cfg)
	return err
}

func image(args []string) error {
	flags := flag.NewFlagSet("image", flag.ContinueOnError)
	var im oci.Image
	out := flags.String("o", "", "the archive to `write`")
	flags.Var((*several)(&im.Names), "ref", "full `reference`; several times")
	flags.Var((*several)(&im.Entrypoint), "entrypoint", "`word` of the entry point; several times")
	flags.Var((*several)(&im.Env), "env", "`K=V`; several times")
	flags.StringVar(&im.User, "user", "", "`UID[:GID]`")
	flags.Usage = func() {
		fmt.Fprintln(os.Stderr, "usage: cluster image -o ARCHIVE -ref REFERENCE [flags] SOURCE:PATH[:MODE]...")
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return flagError(err)
	}
	for _, a := range flags.Args() {
		f := strings.Split(a, ":")
		if len(f) < 2 || len(f) > 3 {
			return fmt.Errorf("%s: want SOURCE:PATH[:MODE]", a)
		}
		file := oci.File{Source: f[0], Path: f[1]}
		if len(f) == 3 {
			mode, err := strconv.ParseInt(f[2], 8, 32)
			if err != nil {
				return fmt.Errorf("%s: mode: %w", a, err)
			}
			file.Mode = mode
		}
		im.Files = append(im.Files, file)
	}
	if *out == "" {
		return errors.New("image: -o is missing")
	}
	return im.WriteFile(*out)
}
