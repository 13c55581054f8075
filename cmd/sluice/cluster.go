package main

import (
	"github.com/spf13/cobra"

	"sluice.io/sluice/source/kube"
)

// copiesNamespace is where the controller keeps copies for agents.
const copiesNamespace = "sluice-secrets"

// addAccessFlags binds the flags that say how to reach a cluster, named as
// kubectl's are.
func addAccessFlags(cmd *cobra.Command, a *kube.Access) {
	f := cmd.Flags()
	f.StringVar(&a.Kubeconfig, "kubeconfig", "", "path of the kubeconfig file (default: $KUBECONFIG, then ~/.kube/config)")
	f.StringVar(&a.Context, "context", "", "context of the kubeconfig")
	f.StringVar(&a.Cluster, "cluster", "", "cluster of the kubeconfig")
	f.StringVar(&a.User, "user", "", "user of the kubeconfig")
	f.StringVarP(&a.Server, "server", "s", "", "address of the API server")
	_ = cmd.MarkFlagFilename("kubeconfig")
	a.Agent = "sluice/" + version
}

// addServiceFlags binds the same for a part of Sluice that runs in a cluster.
func addServiceFlags(cmd *cobra.Command, a *kube.Access) {
	cmd.Flags().StringVar(&a.Kubeconfig, "kubeconfig", "", "path of the kubeconfig file (default: the pod's service account)")
	cmd.Flags().StringVar(&a.Context, "context", "", "context of the kubeconfig")
	_ = cmd.MarkFlagFilename("kubeconfig")
	a.InCluster = true
	a.Agent = "sluice-" + cmd.Name() + "/" + version
}
