package redirect

import (
	"bytes"
	"fmt"

	"sluice.io/sluice/bpf"
)

// ids numbers the things of one kind: frontends, groups, or namespaces. Numbers
// are kept in the kernel with the names, so that they survive a restart, and
// are not given out again until they have wrapped round.
type ids struct {
	kind uint32
	next uint32
	ids  map[string]uint32
	used map[uint32]bool
	refs map[string]int
	// dirty holds the names whose entry may have to be written or removed.
	dirty map[string]bool
}

func newIDs(kind uint32) *ids {
	return &ids{
		kind: kind, next: 1,
		ids: map[string]uint32{}, used: map[uint32]bool{}, refs: map[string]int{}, dirty: map[string]bool{},
	}
}

// restore takes over a number from an earlier run.
func (t *ids) restore(name string, id uint32) {
	t.ids[name] = id
	t.used[id] = true
	t.dirty[name] = true
	if id >= t.next {
		t.next = id + 1
	}
}

// get returns the number of a name, a new one if it has none.
func (t *ids) get(name string) uint32 {
	if id, ok := t.ids[name]; ok {
		return id
	}
	for t.next == 0 || t.used[t.next] {
		t.next++
	}
	id := t.next
	t.next++
	t.ids[name] = id
	t.used[id] = true
	t.dirty[name] = true
	return id
}

// hold and release count the uses of a name.
func (t *ids) hold(name string) {
	t.refs[name]++
	t.dirty[name] = true
}

func (t *ids) release(name string) {
	t.refs[name]--
	if t.refs[name] <= 0 {
		delete(t.refs, name)
	}
	t.dirty[name] = true
}

// forget gives a number back once nothing in the kernel refers to it.
func (t *ids) forget(name string) {
	delete(t.used, t.ids[name])
	delete(t.ids, name)
}

// plan writes the names in use, and removes the others.
func (t *ids) plan(to *[]op, have *table[bpf.NameKey, bpf.Name]) {
	for _, name := range sortedKeys(t.dirty) {
		id, ok := t.ids[name]
		switch {
		case !ok && t.refs[name] > 0:
			id = t.get(name)
			fallthrough
		case t.refs[name] > 0:
			have.put(to, phaseName, bpf.NameKey{Kind: t.kind, Id: id}, toName(name))
		case ok:
			have.drop(to, phaseDropName, bpf.NameKey{Kind: t.kind, Id: id})
		}
	}
}

// settle is called when a plan has been carried out, and returns the numbers
// that were given back.
func (t *ids) settle() (gone []uint32) {
	for name := range t.dirty {
		if id, ok := t.ids[name]; ok && t.refs[name] == 0 {
			t.forget(name)
			gone = append(gone, id)
		}
	}
	t.dirty = map[string]bool{} // see planner.clean
	return gone
}

func toName(s string) bpf.Name {
	var n bpf.Name
	copy(n.Text[:], s)
	return n
}

func fromName(n bpf.Name) string {
	text, _, _ := bytes.Cut(n.Text[:], []byte{0})
	return string(text)
}

// checkName refuses what would be cut off, since two names would become one.
func checkName(s string) error {
	if len(s) >= len(bpf.Name{}.Text) {
		return fmt.Errorf("the name %s is longer than %d bytes", s, len(bpf.Name{}.Text)-1)
	}
	return nil
}
