package trust

import (
	"context"
	"log/slog"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/cache"

	"sluice.io/sluice/identity"
)

// Follow tells of the published bundle until ctx is done: at the start, and when
// it changes. A bundle that is gone or cannot be read leaves the last one in
// force: the way to trust nobody is not to delete a file.
func Follow(ctx context.Context, client corev1client.ConfigMapsGetter, namespace string, log *slog.Logger, out func(*identity.Bundle)) {
	followOne(ctx, client, namespace, BundleName, log, func(m *corev1.ConfigMap) {
		if m == nil {
			log.Warn("the trust bundle is gone; the last one stays in force", "configMap", namespace+"/"+BundleName)
			return
		}
		p, err := Read(m.Data, m.Annotations)
		if err != nil {
			log.Error("the trust bundle cannot be read; the last one stays in force", "configMap", namespace+"/"+BundleName, "err", err)
			return
		}
		out(p.Bundle)
	})
}

// followOne tells of one ConfigMap; nil when it is removed.
func followOne(ctx context.Context, client corev1client.ConfigMapsGetter, namespace, name string, log *slog.Logger, see func(*corev1.ConfigMap)) {
	only := fields.OneTermEqualSelector("metadata.name", name).String()
	_, informer := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
				o.FieldSelector = only
				return client.ConfigMaps(namespace).List(ctx, o)
			},
			WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
				o.FieldSelector = only
				return client.ConfigMaps(namespace).Watch(ctx, o)
			},
		},
		ObjectType: &corev1.ConfigMap{},
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(obj any) { see(obj.(*corev1.ConfigMap)) },
			UpdateFunc: func(_, now any) { see(now.(*corev1.ConfigMap)) },
			DeleteFunc: func(any) { see(nil) },
		},
	})
	log.Debug("following a ConfigMap", "configMap", namespace+"/"+name)
	informer.RunWithContext(ctx)
}
