package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice.io/sluice/source/kube"
	"sluice.io/sluice/source/kube/kubeconfig"
)

func withdrawCommand() *cobra.Command {
	var (
		access               kubeconfig.Access
		namespace, daemonSet string
		within               time.Duration
	)
	cmd := &cobra.Command{
		Use:   "withdraw",
		Short: "Take the agents off all nodes, with every trace of theirs (in Kubernetes)",
		Long: `Deletes the agents' DaemonSet, and waits until each agent has removed its traces
from its node. The chart runs it before an uninstallation takes anything else, as
agents can then still ask why they are stopped, and Envoys serve until the kernel
no longer sends them connections. Without Helm, run it before you delete the rest.`,
		Example: "  sluice withdraw --namespace sluice-system --kubeconfig admin.conf",
		Args:    noArguments(seeHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			config, _, err := access.Connect()
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), within)
			defer cancel()
			left, err := kube.Withdraw(ctx, config, namespace, daemonSet)
			if err != nil {
				return err
			}
			if len(left) > 0 {
				// A node that is down must not hold up all the rest.
				fmt.Fprintf(cmd.OutOrStdout(), "agents have not left these nodes within %s: %s; when they answer again, `sluice uninstall` there removes what is left\n", within, strings.Join(left, ", "))
				return nil
			}
			fmt.Fprintln(cmd.OutOrStdout(), "no node has an agent of Sluice any more")
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&namespace, "namespace", envOr("POD_NAMESPACE", "sluice-system"), "namespace of the agents (default: $POD_NAMESPACE)")
	f.StringVar(&daemonSet, "daemonset", "sluice-agent", "name of the agents' DaemonSet")
	f.DurationVar(&within, "within", 2*time.Minute, "how long to wait for nodes")
	addServiceFlags(cmd, &access)
	return cmd
}
