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
	cgroup  string
}

// loadHooks loads all programs with the opened maps, in the order in which they
// are to be attached.
func loadHooks(cfg Config, opened map[string]*ebpf.Map) ([]hook, error) {
	consts, err := constants(cfg)
	if err != nil {
		return nil, err
	}
	var hooks []hook
	for _, object := range bpf.Objects() {
		loaded, err := loadObject(cfg, object, opened, consts)
		if err != nil {
			closeHooks(hooks)
			return nil, err
		}
		hooks = append(hooks, loaded...)
	}
	return hooks, nil
}

func loadObject(cfg Config, object bpf.Object, opened map[string]*ebpf.Map, consts map[string]any) ([]hook, error) {
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
		h := hook{name: name[len("sl_"):], program: coll.DetachProgram(name), attach: s.AttachType, cgroup: cfg.CgroupRoot}
		if s.AttachType == ebpf.AttachCGroupGetsockopt {
			h.cgroup = cfg.EnvoyCgroup
		}
		hooks = append(hooks, h)
	}
	return hooks, nil
}

func constants(cfg Config) (map[string]any, error) {
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
			return fmt.Errorf("attach %s to %s: %w", h.name, h.cgroup, err)
		}
	}
	return nil
}

// attachAt replaces the program of the pinned link in one step when there is
// one for the same cgroup: between the old program and the new one, no call
// goes without.
func (h hook) attachAt(pin string) error {
	old, err := link.LoadPinnedLink(pin, nil)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("open the pinned link: %w", err)
	}
	if err == nil {
		defer old.Close()
		if h.attachedTo(old) {
			return old.Update(h.program)
		}
	}
	l, err := link.AttachCgroup(link.CgroupOptions{Path: h.cgroup, Attach: h.attach, Program: h.program})
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

// attachedTo tells whether a link is attached to the hook's cgroup. The link of
// a cgroup that was removed is attached to none.
func (h hook) attachedTo(l link.Link) bool {
	info, err := l.Info()
	if err != nil || info.Cgroup() == nil {
		return false
	}
	id, err := cgroupID(h.cgroup)
	return err == nil && info.Cgroup().CgroupId == id && uint32(info.Cgroup().AttachType) == uint32(h.attach)
}
