package kube

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/source"
)

// clients reach the API server, one client for each group and version, all over
// the same connections.
type clients struct {
	config   *rest.Config
	http     *http.Client
	metadata metadata.Interface

	mu   sync.Mutex
	made map[schema.GroupVersion]rest.Interface
}

func newClients(config *rest.Config) (*clients, error) {
	// Watches are long and lists are few: it is the API server's priority and
	// fairness that protects it.
	config = rest.CopyConfig(config)
	config.QPS = -1
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	meta, err := metadata.NewForConfigAndClient(metadata.ConfigFor(config), client)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	return &clients{config: config, http: client, metadata: meta, made: map[schema.GroupVersion]rest.Interface{}}, nil
}

// close ends idle connections.
func (c *clients) close() { c.http.CloseIdleConnections() }

// of returns the client of a group and version.
func (c *clients) of(gv schema.GroupVersion) (rest.Interface, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if made := c.made[gv]; made != nil {
		return made, nil
	}
	config := rest.CopyConfig(c.config)
	config.GroupVersion, config.APIPath = &gv, "/apis"
	config.NegotiatedSerializer = serializer.NewCodecFactory(types()).WithoutConversion()
	switch gv.Group {
	case "":
		config.APIPath = "/api"
		fallthrough
	case "discovery.k8s.io":
		config.ContentType = runtime.ContentTypeProtobuf
		config.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	}
	made, err := rest.RESTClientForConfigAndClient(config, c.http)
	if err != nil {
		return nil, fmt.Errorf("reach the API server: %w", err)
	}
	c.made[gv] = made
	return made, nil
}

// types are the Go types of all versions that are understood: an older version
// is decoded into the type of the best.
var types = sync.OnceValue(func() *runtime.Scheme {
	s := runtime.NewScheme()
	for _, k := range allKinds() {
		if k.metadata {
			continue // the client of metadata has a type of its own for all
		}
		for _, version := range k.versions {
			gv := k.gv(version)
			s.AddKnownTypeWithName(gv.WithKind(k.name), k.new())
			s.AddKnownTypeWithName(gv.WithKind(k.name+"List"), k.list)
			metav1.AddToGroupVersion(s, gv)
		}
	}
	return s
})

// requestTimeout bounds a request that is no watch.
const requestTimeout = 30 * time.Second

// served finds the best version of a kind that the API server has; empty when
// it has none.
func (c *clients) served(ctx context.Context, k *kind) (string, error) {
	client, err := c.of(k.gv(k.versions[0]))
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	for _, version := range k.versions {
		var list metav1.APIResourceList
		err := client.Get().AbsPath("/apis", k.group, version).Do(ctx).Into(&list)
		if apierrors.IsNotFound(err) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("ask for the kinds of %s: %w", k.gv(version), err)
		}
		for i := range list.APIResources {
			if list.APIResources[i].Name == k.plural {
				return version, nil
			}
		}
	}
	// While it starts, an API server does not know its CRDs yet.
	if err := client.Get().AbsPath("/readyz").Do(ctx).Error(); err != nil {
		return "", fmt.Errorf("ask whether the API server is ready: %w", err)
	}
	return "", nil
}

// document fetches one Secret or ConfigMap; nil when it is not there.
func (c *clients) document(ctx context.Context, kindName, namespace, name string) (source.KubeObject, error) {
	client, err := c.of(corev1.SchemeGroupVersion)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	plural, obj := "secrets", source.KubeObject(&corev1.Secret{})
	if kindName == kindConfigMap {
		plural, obj = "configmaps", &corev1.ConfigMap{}
	}
	err = client.Get().Resource(plural).Namespace(namespace).Name(name).Do(ctx).Into(obj)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %s %s/%s: %w", kindName, namespace, name, err)
	}
	return obj, nil
}
