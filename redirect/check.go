package redirect

import (
	"errors"
	"fmt"
	"os"
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
	// Required tells that Sluice cannot run without it.
	Required bool   `json:"required"`
	Detail   string `json:"detail"`
	// Fix says what to do when it is not OK.
	Fix string `json:"fix,omitempty"`
}

// Check tries what the data path needs. It changes nothing.
func Check() []Finding {
	findings := []Finding{checkRoot(), checkKernel(), checkCgroup(), checkBPFFS()}
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

func checkCgroup() Finding {
	f := Finding{Name: "cgroup2", Required: true}
	root, err := CgroupRoot()
	if err != nil {
		f.Detail, f.Fix = "not mounted", err.Error()
		return f
	}
	f.OK, f.Detail = true, "at "+root
	return f
}

func checkBPFFS() Finding {
	f := Finding{Name: "bpf filesystem", Required: true, OK: true, Detail: "at " + defaultBPFFS}
	if isBPFFS(defaultBPFFS) {
		return f
	}
	f.Detail = "not mounted at " + defaultBPFFS + " yet; `sluice run` does it"
	if _, err := os.Stat(defaultBPFFS); err != nil {
		f.OK, f.Detail, f.Fix = false, err.Error(), "the kernel needs CONFIG_BPF_SYSCALL and sysfs at /sys"
	}
	return f
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
	{"programs at connect(), sendto() and bind()", true, "5.8", helper(ebpf.CGroupSockAddr, asm.FnSkStorageGet), "CONFIG_CGROUP_BPF is needed"},
	{"network namespace cookies at connect()", true, "5.7", helper(ebpf.CGroupSockAddr, asm.FnGetNetnsCookie), "workloads cannot be told apart"},
	{"network namespace cookies in sockops", true, "5.15", helper(ebpf.SockOps, asm.FnGetNetnsCookie), "Envoy cannot be told what a client dialled"},
	{"socket storage in getsockopt programs", true, "5.4", helper(ebpf.CGroupSockopt, asm.FnSkStorageGet), "Envoy cannot be told what a client dialled"},
	{"reading a network namespace's cookie", true, "5.14", tryNetnsCookie, "workloads cannot be told apart"},
	{"connection refused at once", false, "6.1", helper(ebpf.CGroupSockAddr, asm.FnSetRetval), "clients of a service without endpoints get EPERM instead of ECONNREFUSED"},
	{"service address shown for MPTCP", false, "5.19", helper(ebpf.CGroupSockAddr, asm.FnSkcToMptcpSock), "getpeername on an MPTCP socket shows the endpoint instead of the service"},
}

func helper(t ebpf.ProgramType, fn asm.BuiltinFunc) func() error {
	return func() error { return features.HaveProgramHelper(t, fn) }
}

func tryNetnsCookie() error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	_, err = unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	return err
}

func (f feature) check() Finding {
	out := Finding{Name: f.name, Required: f.required, OK: true, Detail: "available"}
	err := f.try()
	if err == nil {
		return out
	}
	out.OK = false
	if errors.Is(err, ebpf.ErrNotSupported) || errors.Is(err, unix.ENOPROTOOPT) {
		out.Detail = "this kernel does not have it: " + f.without
		out.Fix = "Linux " + f.since + " or newer has it"
		return out
	}
	out.Detail, _, _ = strings.Cut(err.Error(), "\n")
	out.Fix = "run `sluice check` as root"
	return out
}
