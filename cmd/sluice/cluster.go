package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source"
	"sluice.io/sluice/source/kube"
	"sluice.io/sluice/source/kube/kubeconfig"
)

// copiesNamespace is where the controller keeps copies for agents.
const copiesNamespace = "sluice-secrets"

// plugin is the name under which kubectl finds us.
const plugin = "kubectl-sluice"

// asPlugin tells that kubectl runs us.
func asPlugin() bool { return filepath.Base(os.Args[0]) == plugin }

// reach says whom a verb asks: the agent of this machine, a cluster, or the
// agent of one of its nodes.
type reach struct {
	paths     agent.Paths
	access    kubeconfig.Access
	node      string
	namespace string // of Sluice's parts
}

// add binds the flags, named as kubectl's are.
func (r *reach) add(cmd *cobra.Command) {
	addPathFlags(cmd, &r.paths, false)
	f := cmd.Flags()
	f.StringVar(&r.access.Kubeconfig, "kubeconfig", "", "ask the cluster of this kubeconfig file (default: $KUBECONFIG, then ~/.kube/config, where no sluice runs on this machine)")
	f.StringVar(&r.access.Context, "context", "", "ask the cluster of this context of the kubeconfig")
	f.StringVar(&r.access.Cluster, "cluster", "", "cluster of the kubeconfig")
	f.StringVar(&r.access.User, "user", "", "user of the kubeconfig")
	f.StringVarP(&r.access.Server, "server", "s", "", "address of the API server")
	f.StringVar(&r.node, "node", "", "ask the agent of this node of the cluster")
	f.StringVar(&r.namespace, "sluice-namespace", "sluice-system", "namespace of Sluice's own parts in the cluster")
	_ = cmd.MarkFlagFilename("kubeconfig")
	r.access.Agent = "sluice/" + version
}

// cluster tells that a cluster is meant, and not the agent of this machine.
func (r *reach) cluster(cmd *cobra.Command) bool {
	f := cmd.Flags()
	for _, name := range []string{"kubeconfig", "context", "cluster", "user", "server", "node"} {
		if f.Changed(name) {
			return true
		}
	}
	if f.Changed("run-dir") {
		return false
	}
	if asPlugin() {
		return true
	}
	if _, err := os.Stat(r.paths.APISocket()); err == nil {
		return false
	}
	return r.access.Configured()
}

// client asks an agent: that of the named node, or of this machine.
func (r *reach) client(ctx context.Context) (*agent.Client, error) {
	if r.node == "" {
		return agent.NewClient(r.paths), nil
	}
	config, _, err := r.access.Connect()
	if err != nil {
		return nil, err
	}
	kube.QuietLibraries(slog.New(slog.DiscardHandler))
	return agent.NewClientOver(func(context.Context) (net.Conn, error) {
		// The connection outlives the context of its dialling.
		return kube.DialAgent(ctx, config, r.namespace, r.node, []string{"sluice", "connect", "--run-dir", r.paths.RunDir})
	}), nil
}

// snapshot is a cluster as it is now, resolved here.
type snapshot struct {
	mesh     *model.Mesh
	result   resolve.Result
	problems []source.Problem
	// live are the objects that may have a status of Sluice's.
	live map[model.ObjectRef]source.KubeObject
	host string
}

// read reads and resolves the cluster. What the user may not read counts as
// absent, and is told.
func (r *reach) read(ctx context.Context) (*snapshot, error) {
	config, _, err := r.access.Connect()
	if err != nil {
		return nil, err
	}
	log := slog.New(slog.DiscardHandler)
	kube.QuietLibraries(log)
	s := &snapshot{mesh: model.NewMesh(), live: map[model.ObjectRef]source.KubeObject{}, host: config.Host}
	var mu sync.Mutex
	batch, err := kube.Once(ctx, kube.Options{Config: config, Pods: true, Partial: true, Controller: resolve.ControllerName, Log: log, Live: func(ref model.ObjectRef, obj source.KubeObject) {
		mu.Lock()
		defer mu.Unlock()
		s.live[ref] = obj
	}})
	if err != nil {
		return nil, err
	}
	s.result = resolve.New().Update(batch.Changed)
	s.mesh.Apply(s.result.Delta)
	s.problems = batch.Problems
	return s, nil
}

// document is what is shown of the mesh.
func (r *reach) document(cmd *cobra.Command) (*agent.Document, error) {
	if r.node == "" && r.cluster(cmd) {
		s, err := r.read(cmd.Context())
		if err != nil {
			return nil, err
		}
		printClusterProblems(cmd.ErrOrStderr(), s.problems)
		doc := agent.NewDocument(s.mesh, s.mesh.Workloads, s.result.Statuses)
		doc.Everywhere = true
		return doc, nil
	}
	client, err := r.client(cmd.Context())
	if err != nil {
		return nil, err
	}
	return client.Mesh(cmd.Context())
}

// printClusterProblems tells what could not be read.
func printClusterProblems(w io.Writer, problems []source.Problem) {
	for _, p := range problems {
		if !p.Warning {
			fmt.Fprintln(w, "warning:", p.Message)
		}
	}
}

// addServiceFlags binds the flags of a part of Sluice that runs in a cluster.
func addServiceFlags(cmd *cobra.Command, a *kubeconfig.Access) {
	cmd.Flags().StringVar(&a.Kubeconfig, "kubeconfig", "", "path of the kubeconfig file (default: the pod's service account)")
	cmd.Flags().StringVar(&a.Context, "context", "", "context of the kubeconfig")
	_ = cmd.MarkFlagFilename("kubeconfig")
	a.InCluster = true
	a.Agent = "sluice-" + strings.Fields(cmd.Use)[0] + "/" + version
}
