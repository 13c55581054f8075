package main

import (
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
)

// connectCommand is what the command line runs in an agent's pod to reach its
// socket.
func connectCommand() *cobra.Command {
	var paths agent.Paths
	cmd := &cobra.Command{
		Use:     "connect",
		Short:   "Connect standard input and output to the agent's socket",
		Example: "  sluice connect --run-dir /run/sluice",
		Args:    noArguments(seeHelp),
		Hidden:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			conn, err := (&net.Dialer{}).DialContext(cmd.Context(), "unix", paths.APISocket())
			if err != nil {
				return fmt.Errorf("reach the agent: %w", err)
			}
			defer conn.Close()
			sent := make(chan error, 1)
			go func() {
				_, err := io.Copy(conn, cmd.InOrStdin())
				sent <- err
			}()
			// The agent closes when it has answered: then all is said.
			_, err = io.Copy(cmd.OutOrStdout(), conn)
			select {
			case failed := <-sent:
				err = errors.Join(err, failed)
			default:
			}
			return err
		},
	}
	addPathFlags(cmd, &paths, false)
	return cmd
}
