package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"sluice.io/sluice/agent"
	"sluice.io/sluice/redirect"
	"sluice.io/sluice/resolve"
	"sluice.io/sluice/source/file"
)

// envoyUID is a number that neither Debian nor systemd gives out: with nobody's,
// any of the many processes that run as nobody could open Envoy's sockets.
const envoyUID = 65530

func runCommand() *cobra.Command {
	cfg := agent.Config{Version: version}
	var folder string
	var without bool
	var logs logFlags
	cmd := &cobra.Command{
		Use:   "run -f FOLDER",
		Short: "Serve a folder of YAML on this node (root)",
		Long: `Reads Services, EndpointSlices, Workloads, HTTPRoutes, GRPCRoutes, TCPRoutes and
UDPRoutes from a folder, and keeps this node's Envoy and kernel in line with it
as the files change. A broken file is reported and never stops what works.

When sluice stops, in whatever way, traffic goes on with the last state; the
next run takes over without disturbing a connection. To remove everything:
sluice uninstall.`,
		Example: "  sluice run -f mesh/\n  sluice run -f mesh/ --log-level debug --log-format json",
		Args:    noArguments("name the folder with -f"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needFolder(folder); err != nil {
				return err
			}
			var err error
			if cfg.Log, err = logs.logger(); err != nil {
				return err
			}
			if err := fillPaths(&cfg, !without); err != nil {
				return err
			}
			if os.Geteuid() != 0 {
				return fmt.Errorf("`sluice run` programs the kernel: run it as root; `sluice translate -f %s` shows what it would do without", folder)
			}
			syscall.Umask(0o022) // no socket or file of ours may be open to others for a moment
			cfg.Source, err = file.New(folder, file.Options{StateDir: cfg.StateDir, Check: resolve.Check, Log: cfg.Log.With("part", "source")})
			if err != nil {
				return err
			}
			a, err := agent.New(cfg)
			if err != nil {
				return err
			}
			lock, err := cfg.Lock()
			if err != nil {
				return err
			}
			defer lock.Unlock()
			return a.Run(cmd.Context())
		},
	}
	f := cmd.Flags()
	f.StringVarP(&folder, "folder", "f", "", "folder of YAML that describes the mesh")
	f.StringVar(&cfg.StateDir, "state-dir", "/var/lib/sluice", "folder that keeps the last good state of broken objects over restarts")
	f.StringVar(&cfg.EnvoyBinary, "envoy", os.Getenv("SLUICE_ENVOY"), "the stock Envoy's binary (default: $SLUICE_ENVOY, envoy beside sluice, or envoy in the PATH)")
	f.BoolVar(&without, "without-envoy", false, "run no Envoy: \"sluice envoy\" does, with the same run directory")
	f.IntVar(&cfg.EnvoyConcurrency, "envoy-concurrency", runtime.NumCPU(), "number of Envoy's worker threads")
	f.Var((*heapSize)(&cfg.EnvoyMaxHeap), "envoy-max-heap", "size of Envoy's heap from which it gives memory back (90 %) and refuses new requests (97 %), such as 512Mi; 0 for no limit")
	f.IntVar(&cfg.EnvoyUID, "envoy-uid", envoyUID, "user and group id that Envoy runs as; nobody else should have it")
	logs.add(cmd)
	addPathFlags(cmd, &cfg.Paths, true)
	_ = cmd.MarkFlagDirname("folder")
	_ = cmd.MarkFlagFilename("envoy")
	return cmd
}

// fillPaths fills in what was not given; Envoy's only where it is to be run.
func fillPaths(cfg *agent.Config, envoy bool) error {
	if err := fillCgroupRoot(&cfg.Paths); err != nil {
		return err
	}
	if !envoy {
		cfg.EnvoyBinary = ""
		return nil
	}
	var err error
	if cfg.EnvoyBinary, err = findEnvoy(cfg.EnvoyBinary); err != nil {
		return err
	}
	return nil
}

func fillCgroupRoot(p *agent.Paths) error {
	if p.CgroupRoot != "" {
		return nil
	}
	root, err := redirect.CgroupRoot()
	if err != nil {
		return err
	}
	p.CgroupRoot = root
	return nil
}

// findEnvoy returns the named binary, or the first that is found.
func findEnvoy(named string) (string, error) {
	if named != "" {
		if _, err := os.Stat(named); err != nil {
			return "", fmt.Errorf("find Envoy: %w", err)
		}
		return filepath.Abs(named)
	}
	if self, err := os.Executable(); err == nil {
		beside := filepath.Join(filepath.Dir(self), "envoy")
		if _, err := os.Stat(beside); err == nil {
			return beside, nil
		}
	}
	path, err := exec.LookPath("envoy")
	if err != nil {
		return "", fmt.Errorf("find Envoy: none beside sluice and none in the PATH: name it with --envoy, or `make envoy` in the repository")
	}
	return filepath.Abs(path)
}

// complete offers fixed values for a flag in shell completion.
func complete(cmd *cobra.Command, flag string, values ...string) {
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}
