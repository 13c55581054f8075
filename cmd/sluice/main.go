// Command sluice is the one binary of Sluice, in all its roles: the agent of a
// node (run, or agent and envoy in a cluster), the controller, and the command
// line that asks them and explains (the other verbs).
//
// It owns flags, output and wiring. What happens to traffic is decided in the
// packages that it wires, not here.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
)

// version is set by the linker.
var version = "dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := root().ExecuteContext(ctx)
	stop()
	var silent exitCode
	switch {
	case err == nil:
	case errors.As(err, &silent):
		os.Exit(int(silent))
	default:
		fmt.Fprintln(os.Stderr, "sluice:", err)
		os.Exit(1)
	}
}

// exitCode ends the process with a code after the output has said it all.
type exitCode int

func (e exitCode) Error() string { return fmt.Sprintf("exit code %d", int(e)) }

func root() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sluice",
		Short: "A service mesh without sidecars",
		Long: `Sluice steers the traffic of this node with the Gateway API: one Envoy takes the
connections that need layer 7, and the kernel balances all others at connect().

A first look:
  sluice check                         can this machine run it?
  sluice translate -f mesh/            what would a folder of YAML do? (no root)
  sluice run -f mesh/                  do it
  sluice status                        is it in force, and what is wrong?
  sluice explain --from shop/web --to cart:80 --path /items
                                       which rule takes this request, and why?`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.AddCommand(runCommand(), agentCommand(), envoyCommand(), controllerCommand(), statusCommand(), getCommand(), explainCommand(), translateCommand(), checkCommand(), uninstallCommand(), withdrawCommand(), connectCommand(), versionCommand())
	if asPlugin() {
		nameAsPlugin(cmd)
	}
	return cmd
}

// nameAsPlugin has usage lines and examples say how kubectl's users call us.
func nameAsPlugin(root *cobra.Command) {
	root.Use = plugin
	root.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl sluice"}
	var rename func(*cobra.Command)
	rename = func(cmd *cobra.Command) {
		cmd.Example = strings.ReplaceAll(cmd.Example, "  sluice ", "  kubectl sluice ")
		cmd.Long = strings.ReplaceAll(cmd.Long, "  sluice ", "  kubectl sluice ")
		for _, c := range cmd.Commands() {
			rename(c)
		}
	}
	rename(root)
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Example: "  sluice version", Args: noArguments(seeHelp),
		Run: func(cmd *cobra.Command, _ []string) { fmt.Fprintln(cmd.OutOrStdout(), "sluice version", version) },
	}
}

// noArguments refuses arguments, with what to use instead.
func noArguments(instead string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return fmt.Errorf("`%s` takes no argument %q: %s", cmd.CommandPath(), args[0], instead)
	}
}

const seeHelp = "see its --help"

// needFolder says how to name the folder of the mesh.
func needFolder(folder string) error {
	if folder == "" {
		return errors.New("no folder is given: name the one that describes the mesh with -f FOLDER")
	}
	return nil
}

// addPathFlags binds the places that a verb shares with the running agent.
func addPathFlags(cmd *cobra.Command, p *agent.Paths, data bool) {
	cmd.Flags().StringVar(&p.RunDir, "run-dir", "/run/sluice", "folder of sockets, Envoy's files and network namespace mounts")
	_ = cmd.MarkFlagDirname("run-dir")
	if data {
		addDataFlags(cmd, p)
	}
}

// addDataFlags binds the places of the data path.
func addDataFlags(cmd *cobra.Command, p *agent.Paths) {
	cmd.Flags().StringVar(&p.BPFFS, "bpffs", "/sys/fs/bpf/sluice", "folder on a bpf filesystem that holds the pinned links and maps")
	cmd.Flags().StringVar(&p.CgroupRoot, "cgroup-root", "", "cgroup2 folder whose processes can be clients (default: the root of the cgroup2 hierarchy)")
	_ = cmd.MarkFlagDirname("bpffs")
	_ = cmd.MarkFlagDirname("cgroup-root")
}
