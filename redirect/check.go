package redirect

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"golang.org/x/sys/unix"
)

// MinKernel is the oldest Linux that can run the data path: network namespace
// cookies in sockops programs came with it.
const MinKernel = "5.15"

// Finding is the answer to one question about this machine.
type Finding struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	// Unknown tells that it could not be tried, for want of privileges.
	Unknown bool `json:"unknown,omitempty"`
	// Required tells that Sluice cannot run without it.
	Required bool   `json:"required"`
	Detail   string `json:"detail"`
	// Fix says what to do when it is not OK.
	Fix string `json:"fix,omitempty"`
}

// Check tries what the data path needs. It changes nothing. Of cfg it looks at
// CgroupRoot, where empty means the root of the hierarchy, and BPFFS.
func Check(cfg Config) []Finding {
	findings := []Finding{checkRoot(), checkKernel(), checkCgroup(cfg.CgroupRoot), checkBPFFS(cfg.BPFFS)}
	for _, f := range kernelFeatures {
		findings = append(findings, f.check())
	}
	return findings
}

func checkRoot() Finding {
	f := Finding{Name: "root", Required: true, OK: os.Geteuid() == 0, Detail: "running as root"}
	if !f.OK {
		f.Detail, f.Fix = fmt.Sprintf("running as user %d", os.Geteuid()), "run as root: BPF programs, mounts and network namespaces need it"
	}
	return f
}

func checkKernel() Finding {
	f := Finding{Name: "kernel", Required: true}
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		f.Detail = err.Error()
		return f
	}
	release := unix.ByteSliceToString(uts.Release[:])
	f.Detail = "Linux " + release
	f.OK = !olderThan(release, MinKernel)
	if !f.OK {
		f.Fix = "Linux " + MinKernel + " or newer is needed"
	}
	return f
}

// olderThan compares the first two numbers of kernel releases.
func olderThan(release, minimum string) bool {
	var major, minor, wantMajor, wantMinor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false // an unusual name: the features below decide
	}
	if _, err := fmt.Sscanf(minimum, "%d.%d", &wantMajor, &wantMinor); err != nil {
		return false
	}
	return major < wantMajor || major == wantMajor && minor < wantMinor
}

func checkCgroup(root string) Finding {
	f := Finding{Name: "cgroup2", Required: true}
	if root == "" {
		found, err := CgroupRoot()
		if err != nil {
			f.Detail, f.Fix = "not mounted", err.Error()
			return f
		}
		root = found
	}
	if _, err := cgroupID(root); err != nil {
		f.Detail, f.Fix = err.Error(), "name a directory of the cgroup2 hierarchy with --cgroup-root, or leave it out"
		return f
	}
	f.OK, f.Detail = true, "at "+root
	return f
}

func checkBPFFS(dir string) Finding {
	at := nearest(dir)
	f := Finding{Name: "bpf filesystem", Required: true, OK: true, Detail: "at " + at}
	switch {
	case isBPFFS(at):
	case under(dir, defaultBPFFS) && at == defaultBPFFS:
		f.Detail = "not mounted at " + defaultBPFFS + " yet; `sluice run` does it"
	case under(dir, defaultBPFFS):
		f.OK, f.Detail, f.Fix = false, "there is no "+defaultBPFFS, "the kernel needs CONFIG_BPF_SYSCALL and sysfs at /sys"
	default:
		f.OK, f.Detail, f.Fix = false, dir+" is not on one", "choose a folder below "+defaultBPFFS+" with --bpffs"
	}
	return f
}

// nearest is the lowest folder of a path that exists.
func nearest(path string) string {
	for path != filepath.Dir(path) {
		if _, err := os.Stat(path); err == nil {
			return path
		}
		path = filepath.Dir(path)
	}
	return path
}

// feature is something of the kernel that can be tried.
type feature struct {
	name     string
	required bool
	since    string
	try      func() error
	without  string // what is different without it
}

var kernelFeatures = []feature{
	{"programs at connect(), sendto() and bind()", true, "5.8", hasHelper(ebpf.CGroupSockAddr, asm.FnSkStorageGet), "CONFIG_CGROUP_BPF is needed"},
	{"network namespace cookies at connect()", true, "5.7", hasHelper(ebpf.CGroupSockAddr, asm.FnGetNetnsCookie), "workloads cannot be told apart"},
	{"network namespace cookies in sockops", true, "5.15", hasHelper(ebpf.SockOps, asm.FnGetNetnsCookie), "Envoy cannot be told what a client dialled"},
	{"socket storage in getsockopt programs", true, "5.4", hasHelper(ebpf.CGroupSockopt, asm.FnSkStorageGet), "Envoy cannot be told what a client dialled"},
	{"network namespace cookies in getsockopt programs", true, "5.15", hasHelper(ebpf.CGroupSockopt, asm.FnGetNetnsCookie), "Envoy cannot be told which gateway was dialled"},
	{"steering connections to gateways (sk_lookup)", true, "5.9", hasHelper(ebpf.SkLookup, asm.FnSkAssign), "gateways' addresses cannot be served"},
	{"reading a network namespace's cookie", true, "5.14", tryNetnsCookie, "workloads cannot be told apart"},
	{"connection refused at once", false, "6.1", hasHelper(ebpf.CGroupSockAddr, asm.FnSetRetval), "clients of a service without endpoints get EPERM instead of ECONNREFUSED"},
	{"service address shown for MPTCP", false, "5.19", hasHelper(ebpf.CGroupSockAddr, asm.FnSkcToMptcpSock), "getpeername on an MPTCP socket shows the endpoint instead of the service"},
}

func hasHelper(t ebpf.ProgramType, fn asm.BuiltinFunc) func() error {
	return func() error { return features.HaveProgramHelper(t, fn) }
}

func tryNetnsCookie() error {
	_, err := netnsCookie()
	return err
}

func (f feature) check() Finding {
	out := Finding{Name: f.name, Required: f.required, OK: true, Detail: "available"}
	err := f.try()
	if err == nil {
		return out
	}
	out.OK = false
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES) {
		out.Unknown, out.Detail = true, "needs privileges to be tried"
		return out
	}
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOPROTOOPT) {
		out.Detail = "this kernel does not have it: " + f.without
		out.Fix = "Linux " + f.since + " or newer has it"
		return out
	}
	out.Detail, _, _ = strings.Cut(err.Error(), "\n")
	out.Fix = "this is not expected of a kernel; please report it"
	return out
}
