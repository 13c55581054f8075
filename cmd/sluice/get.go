package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/model"
)

func getCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "get",
		Short:   "List what is in force on this node",
		Example: "  sluice get services\n  sluice get routes -o yaml\n  sluice get maps",
		// A wrong kind is to be named, not flags that only its right form would have.
		FParseErrWhitelist: cobra.FParseErrWhitelist{UnknownFlags: true},
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return nil
			}
			return fmt.Errorf("there is no kind %q: get services, gateways, routes, workloads or maps", args[0])
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		getMesh("services", "svc", "Services as clients see them, and who handles their connections", printServices),
		getMesh("gateways", "gw", "Gateways with their listeners, and whether they are served", printGatewayList),
		getMesh("routes", "", "Routes in the order in which they are tried", printRoutes),
		getMesh("workloads", "", "Workloads of this node, and where they were found", printWorkloads),
		getMaps(),
	)
	return cmd
}

// getMesh is a verb that shows one part of the mesh: the table shows it to
// people, -o json and yaml show the objects whole.
func getMesh(name, alias, short string, table func(io.Writer, *agent.Document)) *cobra.Command {
	var (
		to  reach
		out output
	)
	cmd := &cobra.Command{
		Use:     name,
		Aliases: slices.DeleteFunc([]string{strings.TrimSuffix(name, "s"), alias}, func(s string) bool { return s == "" }),
		Short:   short,
		Example: "  sluice get " + name + "\n  sluice get " + name + " -o yaml",
		Args:    noArguments("it lists all; with -o json or yaml a tool can choose"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			doc, err := to.document(cmd)
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), part(name, doc), func(w io.Writer) { table(w, doc) })
		},
	}
	to.add(cmd)
	addOutputFlag(cmd, &out, "table", "json", "yaml")
	return cmd
}

// part is what -o json and yaml show of the mesh.
func part(name string, doc *agent.Document) any {
	switch name {
	case "workloads":
		return doc.Workloads
	case "gateways":
		return doc.Gateways
	case "routes":
		return routesOf(doc)
	}
	return struct {
		Frontends []*model.Frontend  `json:"frontends"`
		Backends  []*model.Backend   `json:"backends"`
		Endpoints []*model.Endpoints `json:"endpoints"`
	}{doc.Frontends, doc.Backends, doc.Endpoints}
}

// routed is what has routes.
type routed struct {
	// Frontends are services.
	Frontends []*model.Frontend `json:"frontends"`
	// Hosts are Gateways' host names, and Ports what of Gateways is routed by
	// connection.
	Hosts []*model.Host        `json:"hosts"`
	Ports []*model.GatewayPort `json:"ports"`
}

func routesOf(doc *agent.Document) routed {
	r := routed{Frontends: []*model.Frontend{}, Hosts: []*model.Host{}, Ports: []*model.GatewayPort{}}
	for _, f := range doc.Frontends {
		if f.HTTP != nil || f.L4.Origin.Object != f.Origin.Object {
			r.Frontends = append(r.Frontends, f)
		}
	}
	served := map[model.PortKey]bool{}
	for _, p := range doc.Ports {
		served[p.Key] = true
	}
	for _, h := range doc.Hosts {
		if h.HTTP != nil && served[h.Key.Port] {
			r.Hosts = append(r.Hosts, h)
		}
	}
	for _, p := range doc.Ports {
		if p.Datagrams != nil || slices.ContainsFunc(p.Chains, func(c model.Chain) bool { return c.L4 != nil }) {
			r.Ports = append(r.Ports, p)
		}
	}
	return r
}

func printServices(w io.Writer, doc *agent.Document) {
	endpoints := map[model.BackendKey]int{}
	for _, e := range doc.Endpoints {
		endpoints[e.Key] = len(e.Endpoints)
	}
	c := newColumns(w, "SERVICE", "PORT", "CLIENTS", "ADDRESSES", "HANDLED BY", "ENDPOINTS", "WHY")
	for _, f := range doc.Frontends {
		by, clients := "kernel", "all"
		if f.HTTP != nil {
			by = "Envoy"
		}
		if f.Key.ClientNamespace != "" {
			clients = "of " + f.Key.ClientNamespace
		}
		var addresses []string
		for _, vip := range f.VIPs {
			addresses = append(addresses, vip.String())
		}
		c.row(f.Key.Namespace+"/"+f.Key.Name, fmt.Sprintf("%d/%s", f.Key.Port, f.Key.Protocol), clients, strings.Join(addresses, ","), by,
			strconv.Itoa(reachable(f, endpoints)), f.Why)
	}
	_ = c.Flush()
}

// reachable counts the endpoints of all backends to which a frontend may lead.
func reachable(f *model.Frontend, endpoints map[model.BackendKey]int) int {
	var refs []model.WeightedBackend
	if f.L4 != nil {
		refs = f.L4.Backends
	}
	if f.HTTP != nil {
		for _, e := range f.HTTP.Entries {
			refs = append(refs, e.Rule.Backends...)
		}
	}
	n, seen := 0, map[model.BackendKey]bool{}
	for _, r := range refs {
		if !seen[r.Backend] && r.Invalid == "" {
			n += endpoints[r.Backend]
		}
		seen[r.Backend] = true
	}
	return n
}

func printRoutes(w io.Writer, doc *agent.Document) {
	all := routesOf(doc)
	if len(all.Frontends) > 0 || len(all.Hosts)+len(all.Ports) == 0 {
		printServiceRoutes(w, all.Frontends)
	}
	if len(all.Hosts)+len(all.Ports) == 0 {
		return
	}
	if len(all.Frontends) > 0 {
		fmt.Fprintln(w)
	}
	printGatewayRoutes(w, all)
}

func printServiceRoutes(w io.Writer, frontends []*model.Frontend) {
	c := newColumns(w, "SERVICE", "ORDER", "MATCH", "BACKENDS", "RULE", "WHERE")
	for _, f := range frontends {
		if f.HTTP == nil {
			c.row(f.Key.String(), "", "every connection", backends(f.L4.Backends), ruleName(f.L4.Origin), f.L4.Origin.Position())
			continue
		}
		for i, e := range f.HTTP.Entries {
			c.row(f.Key.String(), strconv.Itoa(i+1), matchText(e.Match), outcome(e.Rule), ruleName(e.Rule.Origin), e.Rule.Origin.Position())
		}
	}
	_ = c.Flush()
}

func ruleName(o model.Origin) string {
	o.File = ""
	return o.String()
}

// outcome says in a few words what a rule does with a request.
func outcome(r *model.HTTPRule) string {
	for _, f := range r.Filters {
		if f.Redirect != nil {
			return fmt.Sprintf("redirect %d", f.Redirect.Code)
		}
	}
	if len(r.Backends) == 0 {
		return "500: no backend"
	}
	return backends(r.Backends)
}

func backends(refs []model.WeightedBackend) string {
	var total uint32
	for _, b := range refs {
		total += b.Weight
	}
	var parts []string
	for _, b := range refs {
		s := fmt.Sprintf("%s/%s:%d", b.Backend.Namespace, b.Backend.Name, b.Backend.Port)
		if total > 0 && len(refs) > 1 {
			s += fmt.Sprintf(" %.0f%%", 100*float64(b.Weight)/float64(total))
		}
		if b.Invalid != "" {
			s += " (" + b.Invalid + ")"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

func matchText(m model.HTTPMatch) string {
	var parts []string
	if m.Method != "" {
		parts = append(parts, m.Method)
	}
	if m.Path != nil {
		parts = append(parts, fmt.Sprintf("path %s %s", m.Path.Kind, m.Path.Value))
	}
	for _, h := range m.Headers {
		parts = append(parts, fmt.Sprintf("header %s %s %s", h.Name, h.Kind, h.Value))
	}
	for _, q := range m.Query {
		parts = append(parts, fmt.Sprintf("query %s %s %s", q.Name, q.Kind, q.Value))
	}
	if len(parts) == 0 {
		return "everything"
	}
	return strings.Join(parts, " and ")
}

func printWorkloads(w io.Writer, doc *agent.Document) {
	c := newColumns(w, "WORKLOAD", "SERVICE ACCOUNT", "DECLARED AS", "FOUND", "NETNS COOKIE", "WHERE")
	for _, l := range doc.Workloads {
		declared, found, cookie := "netns "+l.Netns, "no", ""
		if l.Cgroup != "" {
			declared = "cgroup " + l.Cgroup
		}
		if doc.Everywhere {
			found = "" // its node knows: --node
		}
		if l.Place != nil {
			found, cookie = "yes", strconv.FormatUint(l.Place.Cookie, 10)
		}
		c.row(l.Key.String(), l.ServiceAccount, declared, found, cookie, l.Origin.Position())
	}
	_ = c.Flush()
}
