package main

import (
	"context"
	"encoding/json"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sluice.io/sluice/test/apps/echo"
)

// grpc serves the echo services. What a call asks for by its metadata:
//
//	test-fail: KEY/N/CODE    the first N calls with KEY fail with that code's number
//	test-delay: DURATION     the answer comes after that time
func (s *server) grpc(addr string) (part, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return part{}, err
	}
	srv := grpc.NewServer()
	echo.RegisterGRPC(srv, grpcEcho{s})
	return part{serve: func() error { return srv.Serve(l) }, stop: srv.Stop}, nil
}

type grpcEcho struct{ s *server }

// Unary implements echo.GRPCServer.
func (g grpcEcho) Unary(ctx context.Context, method string, in *echo.Message) (*echo.Message, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	if v := md.Get("x-key"); len(v) > 0 {
		g.s.counts.next("seen " + v[0])
	}
	if err := g.misbehave(ctx, md); err != nil {
		return nil, err
	}
	return g.answer(ctx, md, method, in)
}

// Stream implements echo.GRPCServer.
func (g grpcEcho) Stream(method string, s grpc.BidiStreamingServer[echo.Message, echo.Message]) error {
	md, _ := metadata.FromIncomingContext(s.Context())
	for {
		in, err := s.Recv()
		if err != nil {
			return nil // The client ended the stream, or is gone.
		}
		out, err := g.answer(s.Context(), md, method, in)
		if err != nil {
			return err
		}
		if err := s.Send(out); err != nil {
			return err
		}
	}
}

func (g grpcEcho) answer(ctx context.Context, md metadata.MD, method string, in *echo.Message) (*echo.Message, error) {
	seen := &echo.Seen{
		Name:    g.s.name,
		Proto:   "HTTP/2.0",
		Method:  http.MethodPost,
		Path:    method,
		Headers: http.Header{},
		Body:    in.GetValue(),
	}
	for k, v := range md {
		seen.Headers[http.CanonicalHeaderKey(k)] = v
	}
	if v := md.Get(":authority"); len(v) > 0 {
		seen.Host = v[0]
	}
	if p, ok := peer.FromContext(ctx); ok {
		seen.Remote, seen.Local = p.Addr.String(), p.LocalAddr.String()
	}
	b, err := json.Marshal(seen)
	if err != nil {
		return nil, err
	}
	return wrapperspb.String(string(b)), nil
}

func (g grpcEcho) misbehave(ctx context.Context, md metadata.MD) error {
	if v := md.Get("test-delay"); len(v) > 0 {
		d, err := time.ParseDuration(v[0])
		if err != nil {
			return status.Error(codes.InvalidArgument, err.Error())
		}
		select {
		case <-time.After(d):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	v := md.Get("test-fail")
	if len(v) == 0 {
		return nil
	}
	f := strings.Split(v[0], "/")
	if len(f) != 3 {
		return status.Errorf(codes.InvalidArgument, "test-fail: %q is not KEY/N/CODE", v[0])
	}
	n, err := strconv.Atoi(f[1])
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	code, err := strconv.ParseUint(f[2], 10, 8)
	if err != nil {
		return status.Error(codes.InvalidArgument, err.Error())
	}
	if g.s.counts.next("grpc "+f[0]) < n {
		return status.Error(codes.Code(code), "asked to fail")
	}
	return nil
}
