package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// typed packs a message into an Any, deterministically. A message that cannot
// be packed (its strings are no UTF-8) gives an Any whose type says why: Envoy
// rejects it by name, and the rejection is reported with the object's origin.
func typed(m proto.Message) *anypb.Any {
	any := &anypb.Any{}
	if err := anypb.MarshalFrom(any, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		return &anypb.Any{TypeUrl: "type.googleapis.com/unencodable." + string(m.ProtoReflect().Descriptor().FullName())}
	}
	return any
}

func extension(name string, m proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: typed(m)}
}

var (
	yes  = wrapperspb.Bool(true)
	no   = wrapperspb.Bool(false)
	zero = durationpb.New(0)
)

func u32(v uint32) *wrapperspb.UInt32Value { return wrapperspb.UInt32(v) }

// ads is the source of everything that is discovered: the stream that this
// message arrives on.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
		ResourceApiVersion:    corev3.ApiVersion_V3,
	}
}
