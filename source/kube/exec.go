package kube

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
)

// DialAgent connects to the agent of a node: it runs, in the agent's pod, a
// command whose input and output are a connection to the agent's socket. The
// connection ends with the context.
func DialAgent(ctx context.Context, config *rest.Config, namespace, node string, command []string) (net.Conn, error) {
	pod, err := agentPod(ctx, config, namespace, node)
	if err != nil {
		return nil, err
	}
	client, err := rawClient(config)
	if err != nil {
		return nil, err
	}
	request := client.Post().Resource("pods").Namespace(namespace).Name(pod).SubResource("exec").
		Param("container", "agent").Param("stdin", "true").Param("stdout", "true").Param("stderr", "true")
	for _, word := range command {
		request = request.Param("command", word)
	}
	executor, err := remotecommand.NewSPDYExecutor(config, "POST", request.URL())
	if err != nil {
		return nil, fmt.Errorf("run a command in pod %s/%s: %w", namespace, pod, err)
	}
	ours, theirs := net.Pipe()
	c := &execConn{Conn: ours, ended: make(chan error, 1)}
	go func() {
		var said strings.Builder
		err := executor.StreamWithContext(ctx, remotecommand.StreamOptions{Stdin: theirs, Stdout: theirs, Stderr: &said})
		if err != nil && said.Len() > 0 {
			err = errors.New(strings.TrimSpace(said.String()))
		}
		if err != nil {
			c.ended <- fmt.Errorf("run a command in pod %s/%s: %w", namespace, pod, err)
		}
		_ = theirs.Close() // a pipe always closes
	}()
	return c, nil
}

// execConn is a connection that a command carries.
type execConn struct {
	net.Conn
	ended chan error // how the command failed
}

// Read tells how the command failed, rather than that the connection has ended.
func (c *execConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if err == nil {
		return n, nil
	}
	select {
	case why := <-c.ended:
		return n, why
	default:
		return n, err
	}
}
