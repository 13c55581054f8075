package gateways

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	pinned "sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
	"sluice.io/sluice/test/cluster"
	"sluice.io/sluice/test/install"
)

// startup is how long a product may take to install, and to go.
const startup = 3 * time.Minute

// Products lists the names of what is measured.
func Products() []string { return []string{install.GatewayClass, envoyGatewayClass} }

// product is what is measured.
type product interface {
	// name is the product's, and that of its GatewayClass.
	name() string
	// install installs it for a case, and returns when its controllers are ready.
	install(ctx context.Context, c Case) error
	// where tells at which address each Gateway answers, as far as it is known.
	where(ctx context.Context) (map[string]netip.AddrPort, error)
	// pods are its pods by role.
	pods(ctx context.Context) (map[Role][]pod, error)
	// groups are cgroups outside of pods, by role.
	groups() map[Role][]string
	// inspect returns the version of its Envoys, and an error if one of them
	// rejected something.
	inspect(ctx context.Context) (string, error)
	// uninstall removes it; no Gateway is left.
	uninstall(ctx context.Context) error
}

// pod is what we look at of a pod.
type pod struct {
	Metadata struct {
		Name, UID string
		Labels    map[string]string
	}
	Spec   struct{ NodeName string }
	Status struct {
		PodIP      string
		Conditions []struct{ Type, Status string }
	}
}

func (a *api) pods(ctx context.Context, namespace, selector string) ([]pod, error) {
	var list struct{ Items []pod }
	err := a.get(ctx, "/api/v1/namespaces/"+namespace+"/pods?labelSelector="+selector, &list)
	return list.Items, err
}

// podCgroup is a pod's folder in the cgroup hierarchy.
func podCgroup(c *cluster.Cluster, p pod) (string, error) {
	node, err := strconv.Atoi(strings.TrimPrefix(p.Spec.NodeName, "node"))
	if err != nil {
		return "", fmt.Errorf("pod %s is on node %q: %w", p.Metadata.Name, p.Spec.NodeName, err)
	}
	for _, class := range []string{"", "burstable", "besteffort"} {
		dir := filepath.Join(c.NodeCgroup(node), "kubepods", class, "pod"+p.Metadata.UID)
		if _, err := os.Stat(dir); err == nil {
			return dir, nil
		}
	}
	return "", fmt.Errorf("pod %s has no cgroup on %s", p.Metadata.Name, p.Spec.NodeName)
}

// cgroups are all cgroups of a product.
func (t *trial) cgroups(ctx context.Context) (map[Role][]string, error) {
	all := t.product.groups()
	pods, err := t.product.pods(ctx)
	if err != nil {
		return nil, err
	}
	for role, list := range pods {
		for _, p := range list {
			dir, err := podCgroup(t.cluster, p)
			if err != nil {
				return nil, err
			}
			all[role] = append(all[role], dir)
		}
	}
	return all, nil
}

// usage is CPU time in seconds.
type usage map[Role]float64

// used reads the CPU time that a product has used so far.
func (t *trial) used(ctx context.Context) (usage, error) {
	groups, err := t.cgroups(ctx)
	if err != nil {
		return nil, err
	}
	u := usage{}
	for role, dirs := range groups {
		for _, dir := range dirs {
			cpu, err := rig.CgroupCPU(dir)
			if err != nil {
				return nil, err
			}
			u[role] += cpu.Seconds()
		}
	}
	return u, nil
}

// less subtracts what was used before, times a factor.
func (u usage) less(before usage, factor float64) usage {
	diff := usage{}
	for role, v := range u {
		diff[role] = v - factor*before[role]
	}
	return diff
}

func (u usage) times(factor float64) usage {
	product := usage{}
	for role, v := range u {
		product[role] = factor * v
	}
	return product
}

func (u usage) sum() (s float64) {
	for _, v := range u {
		s += v
	}
	return s
}

// memory reads the resident memory of a product's processes, now and at most.
func (t *trial) memory(ctx context.Context) error {
	groups, err := t.cgroups(ctx)
	if err != nil {
		return err
	}
	t.sample.Memory, t.sample.PeakMemory, t.sample.Processes = map[Role]int64{}, map[Role]int64{}, map[Role]int{}
	for role, dirs := range groups {
		for _, dir := range dirs {
			for _, pid := range processes(dir) {
				rss, errNow := rig.RSS(pid)
				peak, errPeak := rig.PeakRSS(pid)
				is, errName := roleOf(pid, role)
				if errors.Join(errNow, errPeak, errName) != nil || is == "" {
					continue // it has ended: a probe, or the like
				}
				t.sample.Memory[is] += rss
				t.sample.PeakMemory[is] += peak
				t.sample.Processes[is]++
			}
		}
	}
	if t.sample.Memory[Envoy] == 0 {
		return errors.New("no process of Envoy has been found")
	}
	return nil
}

// roleOf is the role of a process in the group of a role; empty for that which
// only keeps a pod's namespaces.
func roleOf(pid int, group Role) (Role, error) {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	switch comm := strings.TrimSpace(string(name)); {
	case comm == "pause":
		return "", err
	case group == Envoy && comm != "envoy":
		return Minder, err
	}
	return group, err
}

// inspect notes which Envoy was measured, and whether it took all of its
// configuration.
func (t *trial) inspect(ctx context.Context) (err error) {
	t.sample.Envoy, err = t.product.inspect(ctx)
	if err == nil && t.sample.Envoy != pinned.EnvoyVersion {
		err = fmt.Errorf("its Envoy is %q, not %s", t.sample.Envoy, pinned.EnvoyVersion)
	}
	return err
}

// processes lists those in a cgroup and below.
func processes(dir string) []int {
	var all []int
	_ = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.Name() != "cgroup.procs" {
			return nil // a group that ends while we look
		}
		b, _ := os.ReadFile(path)
		for _, f := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(f); err == nil && pid > 0 {
				all = append(all, pid)
			}
		}
		return nil
	})
	return all
}

// absent tells whether the API server answered that there is no such thing.
func absent(err error) bool {
	var e *apiError
	return errors.As(err, &e) && e.code == http.StatusNotFound
}
