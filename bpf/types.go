package bpf

import "github.com/cilium/ebpf"

// The keys and values of the maps; types.h explains their fields.
type (
	// Addr is an address: 16 bytes in network order, IPv4 as v4-mapped.
	Addr = tablesAddr
	// WorkloadKey is a place: a network namespace or a cgroup.
	WorkloadKey = tablesWorkloadKey
	// Workload is what is known of who is at a place.
	Workload = tablesWorkload
	// FrontendKey is what a client dials, and for whom the entry is.
	FrontendKey = tablesFrontendKey
	// Frontend is what becomes of the connections.
	Frontend = tablesFrontend
	// SplitKey names a weighted frontend, for one address family.
	SplitKey = tablesSplitKey
	// Split holds its weights.
	Split = tablesSplit
	// SplitPart is one weight.
	SplitPart = tablesSplitPart
	// Group is the size of a group of endpoints.
	Group = tablesGroup
	// SlotKey is a place in a group.
	SlotKey = tablesSlotKey
	// Endpoint is what is there; with its group it is a key of the memberships.
	Endpoint = tablesEndpoint
	// SteeringKey is an address and port of the node.
	SteeringKey = tablesSteeringKey
	// Steering is whose it is.
	Steering = tablesSteering
	// NameKey is a number that user space gave out.
	NameKey = tablesNameKey
	// Name is what it means.
	Name = tablesName
	// Meta holds the next numbers to give out.
	Meta = tablesMeta
	// Tally counts a frontend's connections.
	Tally = tablesTally
	// AffinityKey is a client of a frontend.
	AffinityKey = tablesAffinityKey
	// Kept is the endpoint that it stays with.
	Kept = tablesKept
	// Request is what a decision is made about.
	Request = tablesRequest
)

// Kinds of workload keys and of names.
const (
	KindNetns  = uint32(tablesWorkloadKindKIND_NETNS)
	KindCgroup = uint32(tablesWorkloadKindKIND_CGROUP)

	NameFrontend = uint32(tablesNameKindNAME_FRONTEND)
	NameGroup    = uint32(tablesNameKindNAME_GROUP)
	NameScope    = uint32(tablesNameKindNAME_SCOPE)
)

// Flags and actions of workloads and frontends.
const (
	WorkloadMeshed = uint16(tablesWorkloadFlagWORKLOAD_MESHED)
	WorkloadShared = uint16(tablesWorkloadFlagWORKLOAD_SHARED)

	ActionPass   = uint8(tablesActionACTION_PASS)
	ActionKernel = uint8(tablesActionACTION_KERNEL)
	ActionEnvoy  = uint8(tablesActionACTION_ENVOY)

	FrontendScoped = uint8(tablesFrontendFlagFRONTEND_SCOPED)

	SteeringEnvoy    = uint32(tablesSteeringKindSTEERING_ENVOY)
	SteeringReserved = uint32(tablesSteeringKindSTEERING_RESERVED)
)

// Verdicts of the decision, for tests.
const (
	VerdictPass   = uint32(tablesVerdictVERDICT_PASS)
	VerdictKernel = uint32(tablesVerdictVERDICT_KERNEL)
	VerdictEnvoy  = uint32(tablesVerdictVERDICT_ENVOY)
	VerdictRefuse = uint32(tablesVerdictVERDICT_REFUSE)
	VerdictKept   = uint32(tablesVerdictVERDICT_KEPT)
)

// LayoutVersion is raised when what an entry means changes while its size stays,
// so that maps of an earlier version are not used.
const LayoutVersion = 1

// Listeners is how many listening sockets of Envoy's the map has room for, of
// each family.
const Listeners = uint32(tablesListenerRoomLISTENERS)

// MaxParts is the most parts that a weighted frontend can have.
const MaxParts = len(Split{}.Part)

// Counters are the names of the entries of the map of counters, in order.
var Counters = [tablesCounterCOUNT_MAX]string{
	tablesCounterCOUNT_KERNEL_TCP:     "kernelTCP",
	tablesCounterCOUNT_KERNEL_UDP:     "kernelUDP",
	tablesCounterCOUNT_ENVOY:          "envoy",
	tablesCounterCOUNT_REFUSED:        "refused",
	tablesCounterCOUNT_ENVOY_OWN:      "envoyOwn",
	tablesCounterCOUNT_HANDOFF:        "handoffs",
	tablesCounterCOUNT_HANDOFF_NONE:   "handoffsUnknown",
	tablesCounterCOUNT_HANDOFF_FAILED: "handoffsFailed",
	tablesCounterCOUNT_ORIGDST:        "originalDestinations",
	tablesCounterCOUNT_BIND_DENIED:    "bindsDenied",
	tablesCounterCOUNT_GATEWAY:        "gateways",
	tablesCounterCOUNT_GATEWAY_NONE:   "gatewaysRefused",
}

// Object is one compiled object: the programs of one family of attach points.
type Object struct {
	// Name is the family: connect, udp, peername, sockops, origdst, bind or gateway.
	Name string
	// Load parses the object; it does not touch the kernel.
	Load func() (*ebpf.CollectionSpec, error)
}

// Objects returns the objects in the order in which their programs are to be
// attached: what answers questions about steered sockets comes before what
// steers them.
func Objects() []Object {
	return []Object{
		{"origdst", loadOrigdst},
		{"sockops", loadSockops},
		{"peername", loadPeername},
		{"bind", loadBind},
		{"udp", loadUdp},
		{"connect", loadConnect},
		{"gateway", loadGateway},
	}
}

// Maps returns the specifications of all maps by name.
func Maps() (map[string]*ebpf.MapSpec, error) {
	spec, err := loadTables()
	if err != nil {
		return nil, err
	}
	maps := map[string]*ebpf.MapSpec{}
	for name, m := range spec.Maps {
		if len(name) > 3 && name[:3] == "sl_" {
			maps[name] = m
		}
	}
	return maps, nil
}

// Selftest parses the object with the test program.
func Selftest() (*ebpf.CollectionSpec, error) { return loadSelftest() }
