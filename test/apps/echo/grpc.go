package echo

import (
	"context"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// The gRPC services that a test server offers. Both have the same methods, so
// that a test can match on the service's name.
const (
	GRPCService      = "sluice.test.Echo"
	GRPCOtherService = "sluice.test.Other"
)

// Message is the one message type of the echo services: text. Servers answer
// with a JSON [Seen].
type Message = wrapperspb.StringValue

// GRPCServer is what a test server implements.
type GRPCServer interface {
	// Unary answers one message with one.
	Unary(ctx context.Context, method string, in *Message) (*Message, error)
	// Stream answers each message of a stream with one, until the client ends it.
	Stream(method string, s grpc.BidiStreamingServer[Message, Message]) error
}

// RegisterGRPC offers both echo services, each with the methods Get, Put
// (unary) and Chat (streaming).
func RegisterGRPC(r grpc.ServiceRegistrar, srv GRPCServer) {
	for _, name := range []string{GRPCService, GRPCOtherService} {
		r.RegisterService(describe(name), srv)
	}
}

func describe(service string) *grpc.ServiceDesc {
	return &grpc.ServiceDesc{
		ServiceName: service,
		HandlerType: (*GRPCServer)(nil),
		Methods:     []grpc.MethodDesc{unary(service, "Get"), unary(service, "Put")},
		Streams: []grpc.StreamDesc{{
			StreamName:    "Chat",
			ServerStreams: true,
			ClientStreams: true,
			Handler: func(srv any, s grpc.ServerStream) error {
				return srv.(GRPCServer).Stream("/"+service+"/Chat",
					&grpc.GenericServerStream[Message, Message]{ServerStream: s})
			},
		}},
	}
}

func unary(service, method string) grpc.MethodDesc {
	full := "/" + service + "/" + method
	return grpc.MethodDesc{
		MethodName: method,
		Handler: func(srv any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
			in := &Message{}
			if err := decode(in); err != nil {
				return nil, err
			}
			return srv.(GRPCServer).Unary(ctx, full, in)
		},
	}
}

// GRPCClient calls the echo services over one connection.
type GRPCClient struct{ *grpc.ClientConn }

// DialGRPC returns a client of target (host:port), whose connections dial
// makes. The authority is the target.
func DialGRPC(dial DialFunc, target string) (*GRPCClient, error) {
	cc, err := grpc.NewClient("passthrough:///"+target,
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithContextDialer(func(ctx context.Context, addr string) (net.Conn, error) {
			return dial(ctx, "tcp", addr)
		}))
	if err != nil {
		return nil, err
	}
	return &GRPCClient{cc}, nil
}

// Call makes a unary call, such as Call(ctx, GRPCService+"/Get", "text").
func (c *GRPCClient) Call(ctx context.Context, method, text string, opts ...grpc.CallOption) (*Seen, error) {
	out := &Message{}
	if err := c.Invoke(ctx, "/"+method, wrapperspb.String(text), out, opts...); err != nil {
		return nil, err
	}
	return ParseSeen([]byte(out.GetValue()))
}

// Chat opens a stream on which the server answers each message.
func (c *GRPCClient) Chat(ctx context.Context, service string) (*Chat, error) {
	desc := &grpc.StreamDesc{StreamName: "Chat", ServerStreams: true, ClientStreams: true}
	s, err := c.NewStream(ctx, desc, "/"+service+"/Chat")
	if err != nil {
		return nil, err
	}
	return &Chat{s}, nil
}

// Chat is an open stream.
type Chat struct{ stream grpc.ClientStream }

// Say sends a message and returns the server's answer to it.
func (c *Chat) Say(text string) (*Seen, error) {
	if err := c.stream.SendMsg(wrapperspb.String(text)); err != nil {
		return nil, err
	}
	out := &Message{}
	if err := c.stream.RecvMsg(out); err != nil {
		return nil, err
	}
	return ParseSeen([]byte(out.GetValue()))
}

// Close ends the client's side of the stream.
func (c *Chat) Close() error { return c.stream.CloseSend() }
