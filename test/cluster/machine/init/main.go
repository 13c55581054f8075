// Command init is the first process of a machine: it makes the machine's mounts,
// starts and ends processes when asked on a socket, and reaps orphans. When it
// ends, the kernel ends everything in the machine.
//
// It must not know what it starts.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/cluster/machine"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run is the program: "boot SPEC" outside of the machine, "first SPEC" inside.
func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("usage: init boot SPEC")
	}
	b, err := os.ReadFile(args[1])
	if err != nil {
		return err
	}
	var spec machine.Spec
	if err := json.Unmarshal(b, &spec); err != nil {
		return fmt.Errorf("read %s: %w", args[1], err)
	}
	if args[0] == "boot" {
		return boot(spec, args[1])
	}
	return first(spec)
}

// boot enters the machine's cgroups and network namespace, starts the first
// process in new namespaces, and prints its pid when the machine stands. The
// order matters: a cgroup namespace has its root where its maker is.
func boot(spec machine.Spec, path string) error {
	for _, dir := range spec.Cgroups {
		if err := os.WriteFile(dir+"/cgroup.procs", []byte("0"), 0); err != nil {
			return fmt.Errorf("enter cgroup: %w", err)
		}
	}
	runtime.LockOSThread()
	ns, err := os.Open(spec.Netns)
	if err != nil {
		return err
	}
	if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter %s: %w", spec.Netns, err)
	}
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	p, err := os.StartProcess(exe, []string{exe, "first", path}, &os.ProcAttr{
		Files: []*os.File{null, null, null, w},
		Sys: &syscall.SysProcAttr{
			Setsid: true,
			Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC |
				unix.CLONE_NEWCGROUP,
		},
	})
	if err != nil {
		return fmt.Errorf("start the first process: %w", err)
	}
	_ = w.Close()
	if err := awaitReady(r); err != nil {
		return err
	}
	fmt.Println(p.Pid)
	return nil
}

// awaitReady reads what the first process says: nothing but ready, or why not.
func awaitReady(r *os.File) error {
	b := make([]byte, 4096)
	n, _ := r.Read(b)
	switch said := string(b[:n]); said {
	case "ready":
		return nil
	case "":
		return fmt.Errorf("the first process ended before it was ready")
	default:
		return fmt.Errorf("first process: %s", strings.TrimSpace(said))
	}
}

// first is the machine's first process.
func first(spec machine.Spec) error {
	out := os.NewFile(3, "ready")
	syscall.CloseOnExec(3)
	err := mountAll(spec)
	var s *server
	if err == nil {
		s, err = listen(machine.Socket(spec.Dir))
	}
	if err != nil {
		_, _ = fmt.Fprint(out, err)
		return err
	}
	if _, err := out.WriteString("ready"); err != nil {
		return err
	}
	_ = out.Close()
	return s.serve()
}
