package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice.io/sluice/redirect"
)

func getMaps() *cobra.Command {
	var (
		to  reach
		out output
	)
	cmd := &cobra.Command{
		Use:     "maps",
		Aliases: []string{"map"},
		Short:   "The kernel's maps, decoded, with their counters",
		Example: "  sluice get maps\n  sluice get maps -o json | jq .frontends",
		Args:    noArguments(seeHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if to.node == "" && to.cluster(cmd) {
				return errors.New("maps are a node's: name it with --node")
			}
			client, err := to.client(cmd.Context())
			if err != nil {
				return err
			}
			dump, err := client.Maps(cmd.Context())
			if err != nil {
				return err
			}
			return out.print(cmd.OutOrStdout(), dump, func(w io.Writer) { printMaps(w, dump) })
		},
	}
	to.add(cmd)
	addOutputFlag(cmd, &out, "table", "json", "yaml")
	return cmd
}

func printMaps(w io.Writer, d *redirect.Dump) {
	c := newColumns(w, "CLIENTS OF", "NETNS COOKIE", "CGROUP", "ENVOY PORT")
	for _, l := range d.Workloads {
		c.row(l.Namespace, number(l.Netns), number(l.Cgroup), strconv.Itoa(int(l.EnvoyPort)))
	}
	_ = c.Flush()

	fmt.Fprintln(w)
	c = newColumns(w, "ADDRESS", "FRONTEND", "CLIENTS", "ACTION", "SHARES", "KERNEL", "ENVOY", "REFUSED")
	counted := map[string]bool{}
	for _, f := range d.Frontends {
		clients := "all"
		if f.ClientNamespace != "" {
			clients = "of " + f.ClientNamespace
		}
		count := redirect.FrontendCount{}
		if f.Count != nil {
			count = *f.Count
		}
		// The kernel counts by frontend: they stand with its first address.
		counts := []string{"as above", "as above", "as above"}
		if !counted[f.Frontend] {
			counts = []string{strconv.FormatUint(count.Kernel, 10), strconv.FormatUint(count.Envoy, 10), strconv.FormatUint(count.Refused, 10)}
		}
		counted[f.Frontend] = true
		c.row(append([]string{fmt.Sprintf("%s/%s", f.Address, f.Protocol), f.Frontend, clients, f.Action, shares(f.Parts)}, counts...)...)
	}
	_ = c.Flush()

	fmt.Fprintln(w)
	c = newColumns(w, "GROUP", "ENDPOINTS")
	for _, g := range d.Groups {
		var endpoints []string
		for _, e := range g.Endpoints {
			endpoints = append(endpoints, e.String())
		}
		c.row(g.Group, strings.Join(endpoints, " "))
	}
	_ = c.Flush()

	printGateways(w, d.Gateways)
	fmt.Fprintln(w)
	c = newColumns(w, "COUNTER", "SINCE INSTALLED")
	for _, name := range slices.Sorted(maps.Keys(d.Counters)) {
		c.row(name, strconv.FormatUint(d.Counters[name], 10))
	}
	_ = c.Flush()
	for _, p := range d.Problems {
		fmt.Fprintln(w, "problem:", p)
	}
}

// printGateways writes what is steered to gateways, if anything is.
func printGateways(w io.Writer, gateways []redirect.GatewayEntry) {
	if len(gateways) == 0 {
		return
	}
	fmt.Fprintln(w)
	c := newColumns(w, "NODE'S ADDRESS", "GATEWAYS")
	for _, g := range gateways {
		at := g.Address.String()
		if g.Address.Addr().IsUnspecified() {
			at = fmt.Sprintf("all:%d", g.Address.Port())
		}
		whose := strings.Join(g.Gateways, " ")
		if g.Reserved {
			whose = "kept for Envoy"
		}
		c.row(at+"/TCP", whose)
	}
	_ = c.Flush()
}

func number(n uint64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(n, 10)
}

func shares(parts []redirect.PartEntry) string {
	var texts []string
	for _, p := range parts {
		to := p.Group
		if p.Refused {
			to = "refused"
		}
		if len(parts) > 1 {
			to = fmt.Sprintf("%d: %s", p.Weight, to)
		}
		texts = append(texts, to)
	}
	return strings.Join(texts, ", ")
}
