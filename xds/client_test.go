package xds_test

import (
	"context"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	resourcev3 "github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"sluice.io/sluice/xds"
)

// client speaks delta ADS as Envoy does, but only when the test tells it to.
type client struct {
	t      testing.TB
	stream discoveryv3.AggregatedDiscoveryService_DeltaAggregatedResourcesClient
	in     chan *discoveryv3.DeltaDiscoveryResponse
}

// server is an xDS server without an Envoy.
func server(t testing.TB) (*xds.Server, string) {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "xds.sock")
	s := xds.NewServer(xds.Config{Socket: socket, Owner: os.Getuid()})
	background(t, s.Run)
	eventually(t, "the socket", func() bool {
		c, err := net.Dial("unix", socket)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return s, socket
}

func connect(t testing.TB, socket string) *client {
	t.Helper()
	conn, err := grpc.NewClient("unix:"+socket, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s, err := discoveryv3.NewAggregatedDiscoveryServiceClient(conn).DeltaAggregatedResources(ctx)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, stream: s, in: make(chan *discoveryv3.DeltaDiscoveryResponse, 16)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			r, err := s.Recv()
			if err != nil {
				return
			}
			select {
			case c.in <- r:
			case <-ctx.Done():
				return
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		conn.Close()
	})
	return c
}

func (c *client) send(r *discoveryv3.DeltaDiscoveryRequest) {
	c.t.Helper()
	if err := c.stream.Send(r); err != nil {
		c.t.Fatal(err)
	}
}

// subscribe asks for names of a type; for all when there are none.
func (c *client) subscribe(typeURL string, has map[string]string, names ...string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesSubscribe: names, InitialResourceVersions: has})
}

// next is the next answer, of whatever type.
func (c *client) next() *discoveryv3.DeltaDiscoveryResponse {
	c.t.Helper()
	select {
	case r := <-c.in:
		return r
	case <-time.After(20 * time.Second):
		c.t.Fatal("no answer in 20 s")
		return nil
	}
}

// expect wants the next answer to be of a type with some resources and removals,
// and acknowledges it.
func (c *client) expect(typeURL string, names, removed []string) *discoveryv3.DeltaDiscoveryResponse {
	c.t.Helper()
	r := c.next()
	c.is(r, typeURL, names, removed)
	c.ack(r)
	return r
}

func (c *client) is(r *discoveryv3.DeltaDiscoveryResponse, typeURL string, names, removed []string) {
	c.t.Helper()
	got := slices.Sorted(maps.Keys(versions(r)))
	gone := slices.Sorted(slices.Values(r.GetRemovedResources()))
	if r.GetTypeUrl() != typeURL || !slices.Equal(got, names) || !slices.Equal(gone, removed) {
		c.t.Fatalf("got %s %q without %q, want %s %q without %q", r.GetTypeUrl(), got, gone, typeURL, names, removed)
	}
}

func (c *client) ack(r *discoveryv3.DeltaDiscoveryResponse) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce()})
}

func (c *client) nack(r *discoveryv3.DeltaDiscoveryResponse, why string) {
	c.t.Helper()
	c.send(&discoveryv3.DeltaDiscoveryRequest{TypeUrl: r.GetTypeUrl(), ResponseNonce: r.GetNonce(),
		ErrorDetail: &status.Status{Code: 13, Message: why}})
}

// quiet wants no answer to have been sent: it makes the server answer a new
// subscription, whose answer must be the next.
func (c *client) quiet() {
	c.t.Helper()
	select {
	case r := <-c.in:
		c.t.Fatalf("unexpected answer %s %v without %v", r.GetTypeUrl(), slices.Collect(maps.Keys(versions(r))), r.GetRemovedResources())
	case <-time.After(50 * time.Millisecond):
	}
}

func versions(r *discoveryv3.DeltaDiscoveryResponse) map[string]string {
	out := map[string]string{}
	for _, x := range r.GetResources() {
		out[x.GetName()] = x.GetVersion()
	}
	return out
}

const (
	cds = resourcev3.ClusterType
	eds = resourcev3.EndpointType
	lds = resourcev3.ListenerType
	rds = resourcev3.RouteType
)

func discoveryUnsubscribe(typeURL string, names ...string) *discoveryv3.DeltaDiscoveryRequest {
	return &discoveryv3.DeltaDiscoveryRequest{TypeUrl: typeURL, ResourceNamesUnsubscribe: names}
}
