package redirect

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/features"
	"github.com/cilium/ebpf/link"

	"sluice.io/sluice/bpf"
)

// hook is one program and where it is attached.
type hook struct {
	name    string // the program's name without sl_, and the pin's
	program *ebpf.Program
	attach  ebpf.AttachType
	at      place
}

// watcher is the hook that is attached before Envoy is told of anything: it
// listens only once, and must be seen doing so.
const watcher = "listen"

// loadHooks loads all programs with the opened maps, in the order in which they
// are to be attached.
func loadHooks(cfg Config, node *nodeNetns, opened map[string]*ebpf.Map) ([]hook, error) {
	consts, err := constants(cfg, node)
	if err != nil {
		return nil, err
	}
	var hooks []hook
	for _, object := range bpf.Objects() {
		loaded, err := loadObject(object, opened, consts)
		if err != nil {
			closeHooks(hooks)
			return nil, err
		}
		for i := range loaded {
			loaded[i].at = placeOf(cfg, node, &loaded[i])
		}
		hooks = append(hooks, loaded...)
	}
	return hooks, nil
}

// placeOf: who asks for original destinations, and who listens for gateways, is
// Envoy.
func placeOf(cfg Config, node *nodeNetns, h *hook) place {
	switch {
	case h.attach == ebpf.AttachSkLookup:
		return node
	case h.attach == ebpf.AttachCGroupGetsockopt, h.name == watcher:
		return cgroup(cfg.EnvoyCgroup)
	}
	return cgroup(cfg.CgroupRoot)
}

func loadObject(object bpf.Object, opened map[string]*ebpf.Map, consts map[string]any) ([]hook, error) {
	spec, err := object.Load()
	if err != nil {
		return nil, err
	}
	for name, value := range consts {
		v := spec.Variables[name]
		if v == nil {
			continue
		}
		if err := v.Set(value); err != nil {
			return nil, fmt.Errorf("set %s in %s: %w", name, object.Name, err)
		}
	}
	replaced := map[string]*ebpf.Map{}
	for name, s := range spec.Maps {
		if m := opened[name]; m != nil {
			s.MaxEntries = m.MaxEntries()
			replaced[name] = m
		}
	}
	coll, err := ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{MapReplacements: replaced})
	if err != nil {
		var refused *ebpf.VerifierError
		if errors.As(err, &refused) {
			return nil, fmt.Errorf("this kernel refuses the programs of %s: %w (`sluice check` tells what is missing)", object.Name, err)
		}
		return nil, fmt.Errorf("load the programs of %s: %w", object.Name, err)
	}
	defer coll.Close()
	var hooks []hook
	for name, s := range spec.Programs {
		hooks = append(hooks, hook{name: name[len("sl_"):], program: coll.DetachProgram(name), attach: s.AttachType})
	}
	return hooks, nil
}

func constants(cfg Config, node *nodeNetns) (map[string]any, error) {
	id, err := cgroupID(cfg.EnvoyCgroup)
	if err != nil {
		return nil, err
	}
	level, err := cgroupLevel(cfg.EnvoyCgroup)
	if err != nil {
		return nil, err
	}
	consts := map[string]any{
		"envoy_cgroup":   id,
		"envoy_level":    level,
		"node_netns":     node.cookie,
		"has_set_retval": features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnSetRetval) == nil,
		"has_mptcp":      features.HaveProgramHelper(ebpf.CGroupSockAddr, asm.FnSkcToMptcpSock) == nil,
		"outbound_port":  uint16(EnvoyPort),
		"inbound_port":   uint16(InboundPort),
	}
	maps.Copy(consts, cfg.pretend)
	return consts, nil
}

func closeHooks(hooks []hook) {
	for _, h := range hooks {
		h.program.Close()
	}
}

// attachAll attaches the programs, or replaces those that are attached.
func attachAll(cfg Config, hooks []hook) error {
	dir := filepath.Join(cfg.BPFFS, linksDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("create the pin folder: %w", err)
	}
	for _, h := range hooks {
		if err := h.attachAt(filepath.Join(dir, h.name)); err != nil {
			return fmt.Errorf("attach %s to %s: %w", h.name, h.at, err)
		}
	}
	return nil
}

// attachAt replaces the program of the pinned link in one step when there is
// one for the same place: between the old program and the new one, no call
// goes without.
func (h hook) attachAt(pin string) error {
	old, err := link.LoadPinnedLink(pin, nil)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open the pinned link: %w", err)
	}
	if err == nil {
		defer old.Close()
		if info, err := old.Info(); err == nil && h.at.holds(info, h.attach) {
			return old.Update(h.program)
		}
	}
	l, err := h.at.attach(h.program, h.attach)
	if err != nil {
		return err
	}
	defer l.Close()
	// Renamed over the old pin, whose link ends with it only then.
	fresh := pin + "_new" // no dots on a bpf filesystem
	if err := os.Remove(fresh); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := l.Pin(fresh); err != nil {
		return fmt.Errorf("pin the link: %w", err)
	}
	return os.Rename(fresh, pin)
}
