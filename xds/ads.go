package xds

import (
	"context"
	"errors"
	"fmt"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/delta/v3"
)

// ads is the gRPC service: go-control-plane's handler of delta streams, with the
// store behind it.
type ads struct {
	discoveryv3.UnimplementedAggregatedDiscoveryServiceServer
	handler delta.Server
}

// DeltaAggregatedResources serves one Envoy until it goes.
func (a ads) DeltaAggregatedResources(s discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesServer) error {
	return a.handler.DeltaStreamHandler(s, resourcev3.AnyType)
}

// bridge makes the store a cache to the handler. The handler tells callbacks
// which stream a request came on just before it opens the watch for it.
type bridge struct {
	store *store
	// pending maps a request to its stream, between the two calls.
	pending map[*discoveryv3.DeltaDiscoveryRequest]int64
}

// OnDeltaStreamOpen implements delta.Callbacks.
func (b *bridge) OnDeltaStreamOpen(_ context.Context, id int64, _ string) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	b.store.streams[id] = &stream{id: id, early: map[string]bool{}}
	return nil
}

// OnDeltaStreamClosed implements delta.Callbacks.
func (b *bridge) OnDeltaStreamClosed(id int64, _ *corev3.Node) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	delete(b.store.streams, id)
	b.store.pumpAll()
}

// OnStreamDeltaRequest implements delta.Callbacks: it takes in the answer to what
// was sent before.
func (b *bridge) OnStreamDeltaRequest(id int64, req *discoveryv3.DeltaDiscoveryRequest) error {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	st := b.store.streams[id]
	if st == nil {
		return errors.New("request on a stream that is closed")
	}
	st.identify(req.GetNode())
	k, known := kindOf(req.GetTypeUrl())
	if !known {
		return fmt.Errorf("resources of type %q are not served here", req.GetTypeUrl())
	}
	b.pending[req] = id
	if fl := st.types[k].flight; fl != nil && fl.nonce != "" && fl.nonce == req.GetResponseNonce() {
		b.store.answered(st, k, req.GetErrorDetail())
	}
	return nil
}

// OnStreamDeltaResponse implements delta.Callbacks: now the nonce is known.
func (b *bridge) OnStreamDeltaResponse(id int64, _ *discoveryv3.DeltaDiscoveryRequest, resp *discoveryv3.DeltaDiscoveryResponse) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	k, known := kindOf(resp.GetTypeUrl())
	if st := b.store.streams[id]; known && st != nil && st.types[k].flight != nil {
		st.types[k].flight.nonce = resp.GetNonce()
	}
}

// CreateDeltaWatch implements cache.ConfigWatcher.
func (b *bridge) CreateDeltaWatch(req *cache.DeltaRequest, sub cache.Subscription, out chan cache.DeltaResponse) (func(), error) {
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	id := b.pending[req]
	delete(b.pending, req)
	st := b.store.streams[id]
	k, known := kindOf(req.GetTypeUrl())
	if st == nil || !known {
		return nil, fmt.Errorf("watch for %q on no stream", req.GetTypeUrl())
	}
	t := &st.types[k]
	if !t.begun {
		t.begin(req, sub.IsWildcard(), b.store.held[k])
		if k == endpoints {
			st.equip()
		}
	} else {
		t.resubscribe(req)
	}
	t.watch, t.out = req, out
	b.store.pumpAll()
	return func() {
		b.store.mu.Lock()
		defer b.store.mu.Unlock()
		if t.watch == req {
			t.watch = nil
		}
	}, nil
}

// CreateWatch implements cache.ConfigWatcher; only delta streams are served.
func (b *bridge) CreateWatch(*cache.Request, cache.Subscription, chan cache.Response) (func(), error) {
	return nil, errors.New("state-of-the-world streams are not served: use delta ADS")
}

// equip sends the endpoints of the clusters that were sent before Envoy asked for
// endpoints, whatever it says it has: see [store.send].
func (st *stream) equip() {
	for name := range st.early {
		st.types[endpoints].mark(name, true)
	}
	clear(st.early)
}

// identify notes who is on the stream; only the first request tells.
func (st *stream) identify(n *corev3.Node) {
	if n.GetId() == "" {
		return
	}
	st.node = n.GetId()
	if v := n.GetUserAgentBuildVersion().GetVersion(); v != nil {
		st.build = fmt.Sprintf("%d.%d.%d", v.GetMajorNumber(), v.GetMinorNumber(), v.GetPatch())
	}
}
