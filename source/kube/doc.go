// Package kube reads a cluster: it keeps watches at the API server, and tells
// of what changed there as [source.Batch].
//
// It owns what is watched and how much of it is kept in memory, the pods of a
// node as Workloads, Secrets and ConfigMaps that others refer to, and the last
// state on disk for a start without the API server. It must not know what
// objects mean: that is resolve's.
//
// Each kind has a watch of its own, whose objects are trimmed to what is read
// and land in an inbox. One goroutine empties the inbox every few milliseconds,
// turns what it finds into objects of the mesh, and hands them on; while that
// takes its time, the inbox fills. So the work follows the changes.
package kube

import (
	"context"
	"log/slog"
	"time"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// Options say what is read of a cluster.
type Options struct {
	// Config reaches the API server.
	Config *rest.Config
	// Pods tells whose pods are read as Workloads: OfNode's only unless that is empty.
	Pods   bool
	OfNode string
	// Serving selects the pods of the nodes' Envoys, which are handed on as Pods, and
	// those of their agents, as AgentPods. It is for a reader without Pods.
	// Nodes are handed on then, too, with their labels, what their Envoys reject, and the Gateway API's CRDs with
	// their releases.
	Serving *Selection
	// Cgroup returns the path of a pod's cgroup on this node. Nil where there is no
	// node: Workloads then have a path that nothing is at.
	Cgroup func(uid string, class QoS) string
	// Copies is the namespace of the controller's copies of Secrets and ConfigMaps:
	// others are not read. When it is empty, those are read that an object refers to.
	Copies string
	// Controller is the name of the one whose Gateways' references are followed then;
	// empty for all.
	Controller string
	// CopiesIn is the namespace of copies whose metadata is handed on, under the
	// kinds SecretCopy and ConfigMapCopy; for the one that makes them.
	CopiesIn string
	// Live is told of each object that may have a status of Sluice's, whole, before
	// the batch with it; nil when it is gone. It is called from several goroutines.
	Live func(ref model.ObjectRef, obj source.KubeObject)
	// StateDir keeps the last state for a start without the API server. Nothing is
	// kept when it is empty.
	StateDir string
	// SecretsDir keeps the Secrets of that state. It must be in memory.
	SecretsDir string
	// Patience is how long a start waits for the API server when there is a last
	// state; zero means three seconds.
	Patience time.Duration
	// Partial takes what may not be read for absent: it is for people, who see what
	// they may. Otherwise that is waited for, or what was known of it stays.
	Partial bool
	// Beat is called each time that the loop goes round, every ten seconds at least;
	// nil for nobody to tell.
	Beat func()
	Log  *slog.Logger
}

// Selection are pods of a namespace by their labels.
type Selection struct{ Namespace, Envoys, Agents string }

// QoS is a pod's quality of service class, by which its cgroup is found.
type QoS string

// Source is a cluster as a source of objects.
type Source struct {
	opts     Options
	log      *slog.Logger
	clients  *clients
	inbox    *inbox
	watches  []*watch
	derive   *derive
	journals []*journal
}

// New returns a source. It asks the API server nothing yet.
func New(opts Options) (*Source, error) {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	if opts.Patience == 0 {
		opts.Patience = 3 * time.Second
	}
	c, err := newClients(opts.Config)
	if err != nil {
		return nil, err
	}
	if opts.Beat == nil {
		opts.Beat = func() {}
	}
	s := &Source{opts: opts, log: opts.Log, clients: c, inbox: newInbox()}
	for _, k := range kindsFor(opts) {
		s.watches = append(s.watches, newWatch(k, c, s.inbox, opts))
	}
	s.derive = newDerive(opts, c)
	if opts.StateDir != "" {
		s.journals = newJournals(opts, s.log)
	}
	return s, nil
}

// Name says where the objects come from, for people.
func (s *Source) Name() string { return s.opts.Config.Host }

// Progress says which kinds are waited for at the start; empty when none is.
func (s *Source) Progress() string { return s.inbox.awaited(s.watches) }

// Resource is the resource of a kind, in the version in which it is watched: the API
// server may not have the best one. Anybody may ask, at any time.
func (s *Source) Resource(kindName string) (schema.GroupVersionResource, bool) {
	for _, w := range s.watches {
		if w.kind.name == kindName {
			return w.resource(), true
		}
	}
	return schema.GroupVersionResource{}, false
}

// Unread tells of a Secret or ConfigMap that it is there and could not be fetched, so
// that it is none that is not there. Only what Run calls may ask.
func (s *Source) Unread(ref model.ObjectRef) bool {
	return s.derive.documents != nil && s.derive.documents.unread[ref]
}

// Run watches until ctx is done, and then returns nil. It calls out, from this
// goroutine, first with all that there is, then with each change.
func (s *Source) Run(ctx context.Context, out func(source.Batch)) error {
	return s.run(ctx, out)
}
