package main

import (
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/envoy"
	"sluice.io/sluice/redirect"
)

func checkCommand() *cobra.Command {
	var (
		out    output
		binary string
		paths  agent.Paths
	)
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Can this machine run Sluice? (best as root)",
		Long: `Tries the kernel features, the cgroup2 hierarchy and the Envoy that Sluice needs,
and says of each whether it is there and what to do if not; and whether other programs
have ports that Gateways may get. Exit code 1 when a required one is missing.`,
		Example: "  sluice check\n  sluice check --envoy /usr/local/bin/envoy -o json",
		Args:    noArguments(seeHelp),
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := append(redirect.Check(redirect.Config{BPFFS: paths.BPFFS, CgroupRoot: paths.CgroupRoot}), checkEnvoy(cmd, binary), checkTargets("/proc", paths))
			if err := out.print(cmd.OutOrStdout(), findings, func(w io.Writer) { printFindings(w, findings) }); err != nil {
				return err
			}
			for _, f := range findings {
				if !f.OK && f.Required {
					return exitCode(1)
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&binary, "envoy", os.Getenv("SLUICE_ENVOY"), "the stock Envoy's binary (default: $SLUICE_ENVOY, envoy beside sluice, or envoy in the PATH)")
	_ = cmd.MarkFlagFilename("envoy")
	addDataFlags(cmd, &paths)
	addOutputFlag(cmd, &out, "table", "json", "yaml")
	return cmd
}

func checkEnvoy(cmd *cobra.Command, binary string) redirect.Finding {
	f := redirect.Finding{Name: "Envoy", Required: true}
	path, err := findEnvoy(binary)
	if err != nil {
		f.Detail, f.Fix = err.Error(), "install the stock Envoy, or name it with --envoy"
		return f
	}
	version, err := envoy.CheckVersion(cmd.Context(), path)
	if err != nil {
		f.Detail, f.Fix = err.Error(), "install a supported version"
		return f
	}
	f.OK, f.Detail = true, version+" at "+path
	return f
}

func printFindings(w io.Writer, findings []redirect.Finding) {
	for _, f := range findings {
		mark := "ok     "
		switch {
		case f.Unknown:
			mark = "unknown"
		case !f.OK && f.Required:
			mark = "MISSING"
		case !f.OK:
			mark = "without"
		}
		fmt.Fprintf(w, "%s  %s: %s\n", mark, f.Name, f.Detail)
		if !f.OK && f.Fix != "" {
			fmt.Fprintf(w, "         %s\n", f.Fix)
		}
	}
}
