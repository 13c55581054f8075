package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
	"sluice.io/sluice/observe/explain"
	"sluice.io/sluice/source"
)

func explainCommand() *cobra.Command {
	var (
		to                    reach
		out                   output
		q                     explain.Query
		from, gateway, folder string
		headers               []string
	)
	cmd := &cobra.Command{
		Use:   "explain [--from NAMESPACE/WORKLOAD | --gateway NAMESPACE/GATEWAY] --to HOST:PORT",
		Short: "Say which rule would take a connection or request, and why",
		Long: `Tells, for a connection that has not been made yet, whether the kernel or Envoy
would handle it and why, and which rule of which object in which file at which
line would take it; or at a Gateway, which listener takes the connection of a
client outside, which host the request, and which routes are left out and why.
Asks the running agent, or reads a cluster (--context,
--kubeconfig), or with -f a folder.`,
		Example: `  sluice explain --from shop/web --to cart:80 --method GET --path /items -H 'version: beta'
  sluice explain --from shop/web --to 10.96.0.10:53 --protocol udp
  sluice explain --to https://shop.example/items
  sluice explain --gateway edge/web --to https://192.0.2.1/ -H 'Host: shop.example'
  sluice explain -f mesh/ --from shop/web --to cart.shop.svc.cluster.local:80`,
		Args: noArguments("name the client with --from and the destination with --to"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if cmd.Flags().Changed("from") {
				if q.From, err = parseWorkload(from); err != nil {
					return err
				}
			}
			if gateway != "" {
				if q.Gateway, err = parseGateway(gateway); err != nil {
					return err
				}
			}
			if q.Headers, err = parseHeaders(headers); err != nil {
				return err
			}
			answer, err := ask(cmd, folder, &to, q)
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), answer, func(w io.Writer) { fmt.Fprint(w, answer.Text()) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&from, "from", "", "the client, NAMESPACE/WORKLOAD; without it, a client outside that dials a Gateway")
	f.StringVar(&gateway, "gateway", "", "the Gateway that a client outside dials, NAMESPACE/GATEWAY (default: the one at --to)")
	f.StringVar(&q.To, "to", "", "what it dials, HOST:PORT: a service's name or address; of a Gateway also a URL")
	f.StringVar(&q.Protocol, "protocol", "tcp", "tcp or udp")
	f.StringVar(&q.Method, "method", "GET", "HTTP method")
	f.StringVar(&q.Path, "path", "/", "HTTP path, with query")
	f.StringArrayVarP(&headers, "header", "H", nil, "HTTP header, 'name: value'; may be given several times")
	f.StringVarP(&folder, "folder", "f", "", "explain this folder instead of what is in force")
	cmd.MarkFlagsMutuallyExclusive("from", "gateway")
	_ = cmd.MarkFlagRequired("to")
	complete(cmd, "protocol", "tcp", "udp")
	to.add(cmd)
	addOutputFlag(cmd, &out, "text", "json", "yaml")
	return cmd
}

func ask(cmd *cobra.Command, folder string, to *reach, q explain.Query) (*explain.Answer, error) {
	switch {
	case folder != "":
		mesh, result, problems, err := loadFolder(folder)
		if err != nil {
			return nil, err
		}
		printLoadProblems(cmd.ErrOrStderr(), problems)
		return explainHere(mesh, result.Statuses, problems, to.paths, q)
	case to.node == "" && to.cluster(cmd):
		s, err := to.read(cmd.Context())
		if err != nil {
			return nil, err
		}
		printClusterProblems(cmd.ErrOrStderr(), s.problems)
		return explainHere(s.mesh, s.result.Statuses, s.problems, to.paths, q)
	}
	client, err := to.client(cmd.Context())
	if err != nil {
		return nil, err
	}
	return client.Explain(cmd.Context(), q)
}

// explainHere answers without an agent.
func explainHere(mesh *model.Mesh, statuses map[model.ObjectRef]*model.Status, problems []source.Problem, paths agent.Paths, q explain.Query) (*explain.Answer, error) {
	place(mesh, paths)
	answer, err := explain.Explain(mesh, statuses, q)
	if err == nil {
		agent.Annotate(answer, problems)
	}
	return answer, err
}

func parseWorkload(s string) (model.WorkloadKey, error) {
	namespace, name, ok := parseName(s)
	if !ok {
		return model.WorkloadKey{}, fmt.Errorf("--from %q: want NAMESPACE/WORKLOAD", s)
	}
	return model.WorkloadKey{Namespace: namespace, Name: name}, nil
}

func parseGateway(s string) (model.GatewayKey, error) {
	namespace, name, ok := parseName(s)
	if !ok {
		return model.GatewayKey{}, fmt.Errorf("--gateway %q: want NAMESPACE/GATEWAY", s)
	}
	return model.GatewayKey{Namespace: namespace, Name: name}, nil
}

// parseName reads NAMESPACE/NAME, or a name in the namespace default.
func parseName(s string) (namespace, name string, ok bool) {
	namespace, name, qualified := strings.Cut(s, "/")
	if !qualified {
		namespace, name = "default", s
	}
	return namespace, name, namespace != "" && name != ""
}

// parseHeaders takes headers as curl does, "name: value".
func parseHeaders(lines []string) ([]model.Header, error) {
	var headers []model.Header
	for _, line := range lines {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, fmt.Errorf("-H %q: want 'name: value'", line)
		}
		headers = append(headers, model.Header{Name: name, Value: strings.TrimSpace(value)})
	}
	return headers, nil
}
