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
		to           reach
		out          output
		q            explain.Query
		from, folder string
		headers      []string
	)
	cmd := &cobra.Command{
		Use:   "explain --from NAMESPACE/WORKLOAD --to HOST:PORT",
		Short: "Say which rule would take a connection or request, and why",
		Long: `Tells, for a connection that has not been made yet, whether the kernel or Envoy
would handle it and why, and which rule of which object in which file at which
line would take it. Asks the running agent, or reads a cluster (--context,
--kubeconfig), or with -f a folder.`,
		Example: `  sluice explain --from shop/web --to cart:80 --method GET --path /items -H 'version: beta'
  sluice explain --from shop/web --to 10.96.0.10:53 --protocol udp
  sluice explain -f mesh/ --from shop/web --to cart.shop.svc.cluster.local:80`,
		Args: noArguments("name the client with --from and the destination with --to"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			var err error
			if q.From, err = parseWorkload(from); err != nil {
				return err
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
	f.StringVar(&from, "from", "", "the client, NAMESPACE/WORKLOAD")
	f.StringVar(&q.To, "to", "", "what it dials, HOST:PORT: a service's name or address")
	f.StringVar(&q.Protocol, "protocol", "tcp", "tcp or udp")
	f.StringVar(&q.Method, "method", "GET", "HTTP method")
	f.StringVar(&q.Path, "path", "/", "HTTP path, with query")
	f.StringArrayVarP(&headers, "header", "H", nil, "HTTP header, 'name: value'; may be given several times")
	f.StringVarP(&folder, "folder", "f", "", "explain this folder instead of what is in force")
	_ = cmd.MarkFlagRequired("from")
	_ = cmd.MarkFlagRequired("to")
	complete(cmd, "protocol", "tcp", "udp")
	to.add(cmd)
	addOutputFlag(cmd, &out, "text", "json", "yaml")
	return cmd
}

func ask(cmd *cobra.Command, folder string, to *reach, q explain.Query) (*explain.Answer, error) {
	switch {
	case folder != "":
		mesh, _, problems, err := loadFolder(folder)
		if err != nil {
			return nil, err
		}
		printLoadProblems(cmd.ErrOrStderr(), problems)
		return explainHere(mesh, problems, to.paths, q)
	case to.node == "" && to.cluster(cmd):
		s, err := to.read(cmd.Context())
		if err != nil {
			return nil, err
		}
		printClusterProblems(cmd.ErrOrStderr(), s.problems)
		return explainHere(s.mesh, s.problems, to.paths, q)
	}
	client, err := to.client(cmd.Context())
	if err != nil {
		return nil, err
	}
	return client.Explain(cmd.Context(), q)
}

// explainHere answers without an agent.
func explainHere(mesh *model.Mesh, problems []source.Problem, paths agent.Paths, q explain.Query) (*explain.Answer, error) {
	place(mesh, paths)
	answer, err := explain.Explain(mesh, q)
	if err == nil {
		agent.Annotate(answer, problems)
	}
	return answer, err
}

func parseWorkload(s string) (model.WorkloadKey, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok {
		namespace, name = "default", s
	}
	if namespace == "" || name == "" {
		return model.WorkloadKey{}, fmt.Errorf("--from %q: want NAMESPACE/WORKLOAD", s)
	}
	return model.WorkloadKey{Namespace: namespace, Name: name}, nil
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
