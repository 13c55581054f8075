// Package kubeconfig finds the way to a cluster, as kubectl does: by a kubeconfig and a
// context, or by the service account of a pod.
//
// It owns where that is looked for. It must not know what is asked there.
package kubeconfig

import (
	"fmt"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// Access says how to reach a cluster, as kubectl's flags do.
type Access struct {
	// Kubeconfig is the path of a file; empty means $KUBECONFIG, then ~/.kube/config.
	Kubeconfig string
	// Context, Cluster and User choose from it.
	Context, Cluster, User string
	// Namespace replaces the context's.
	Namespace string
	// Server is another address of the API server.
	Server string
	// InCluster tries the service account that a pod has, when no file is there.
	InCluster bool
	// Agent is the user agent.
	Agent string
}

// Connect reads how to reach a cluster, and the namespace that is meant when
// none is named.
func (a Access) Connect() (*rest.Config, string, error) {
	loader := a.loader()
	namespace, _, err := loader.Namespace()
	if err != nil {
		return nil, "", fmt.Errorf("read the kubeconfig: %w", err)
	}
	config, err := a.config(loader)
	if err != nil {
		return nil, "", fmt.Errorf("read how to reach the API server: %w", err)
	}
	if a.Agent != "" {
		config.UserAgent = a.Agent
	}
	return config, namespace, nil
}

func (a Access) config(loader clientcmd.ClientConfig) (*rest.Config, error) {
	if a.InCluster && a.Kubeconfig == "" {
		if config, err := rest.InClusterConfig(); err == nil {
			return config, nil
		}
	}
	return loader.ClientConfig()
}

// Configured tells whether there is a kubeconfig with a cluster in it.
func (a Access) Configured() bool {
	raw, err := a.loader().RawConfig()
	return err == nil && len(raw.Clusters) > 0
}

func (a Access) loader() clientcmd.ClientConfig {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = a.Kubeconfig
	return clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{
		CurrentContext: a.Context,
		Context:        clientcmdapi.Context{Cluster: a.Cluster, AuthInfo: a.User, Namespace: a.Namespace},
		ClusterInfo:    clientcmdapi.Cluster{Server: a.Server},
	})
}
