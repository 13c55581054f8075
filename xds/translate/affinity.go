package translate

import (
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	lbcommonv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/common/v3"
	maglevv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/load_balancing_policies/maglev/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sluice.io/sluice/model"
)

// byClientNetns is ClientIP affinity: a client keeps its endpoint as long as the
// endpoint is there. The client is its network namespace, not its address: a
// redirected connection comes from the loopback address. Unlike kube-proxy's,
// this affinity does not expire.
var byClientNetns = maglev(&routev3.RouteAction_HashPolicy{
	PolicySpecifier: &routev3.RouteAction_HashPolicy_FilterState_{
		FilterState: &routev3.RouteAction_HashPolicy_FilterState{Key: upstreamNetns},
	},
})

// byClientAddress is ClientIP affinity of a gateway's clients.
var byClientAddress = maglev(&routev3.RouteAction_HashPolicy{
	PolicySpecifier: &routev3.RouteAction_HashPolicy_ConnectionProperties_{
		ConnectionProperties: &routev3.RouteAction_HashPolicy_ConnectionProperties{SourceIp: true},
	},
})

// bySender is the same for datagrams, of which only the listener knows whose they
// are.
var bySender = maglev()

// affine is how a destination of a gateway keeps clients.
func (d Destination) affine() *clusterv3.LoadBalancingPolicy {
	if d.Parts[0].Backend.Protocol == model.UDP {
		return bySender
	}
	return byClientAddress
}

// maglev keeps what has one hash with one endpoint.
func maglev(by ...*routev3.RouteAction_HashPolicy) *clusterv3.LoadBalancingPolicy {
	return &clusterv3.LoadBalancingPolicy{Policies: []*clusterv3.LoadBalancingPolicy_Policy{{
		TypedExtensionConfig: extension("envoy.load_balancing_policies.maglev", &maglevv3.Maglev{
			// The smallest table that is even to 1 % with 20 endpoints; the default
			// of 65,537 costs 1 MB for each cluster and worker.
			TableSize:                 wrapperspb.UInt64(2039),
			ConsistentHashingLbConfig: &lbcommonv3.ConsistentHashingLbConfig{HashPolicy: by},
		}),
	}}}
}
