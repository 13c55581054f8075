package redirect

import (
	"bytes"
	"fmt"

	"sluice.io/sluice/bpf"
)

// ids numbers the things of one kind: frontends, groups, or namespaces. Numbers
// are kept in the kernel with the names, so that they survive a restart, and
// are not given out again until they have wrapped round.
type ids[K comparable] struct {
	kind  uint32
	text  func(K) string
	order func(a, b K) int

	next    uint32
	numbers map[K]*number
	used    map[uint32]bool
	// restored are the numbers of an earlier run that nobody asked for yet.
	restored map[string]uint32
	// dirty holds the keys whose name may have to be written or removed.
	dirty map[K]bool
}

type number struct {
	id   uint32
	refs int
}

func newIDs[K comparable](kind uint32, text func(K) string, order func(a, b K) int) *ids[K] {
	return &ids[K]{
		kind: kind, text: text, order: order, next: 1,
		numbers: map[K]*number{}, used: map[uint32]bool{}, restored: map[string]uint32{}, dirty: map[K]bool{},
	}
}

// restore takes over a number from an earlier run.
func (t *ids[K]) restore(name string, id uint32) {
	t.restored[name] = id
	t.used[id] = true
	t.next = max(t.next, id+1)
}

// known returns the number of a key if it has one.
func (t *ids[K]) known(key K) (uint32, bool) {
	n := t.numbers[key]
	if n == nil {
		return 0, false
	}
	return n.id, true
}

// get returns the number of a key, a new one if it has none.
func (t *ids[K]) get(key K) uint32 { return t.number(key).id }

func (t *ids[K]) number(key K) *number {
	n := t.numbers[key]
	if n == nil {
		n = &number{id: t.take(t.text(key))}
		t.numbers[key] = n
		t.dirty[key] = true
	}
	return n
}

func (t *ids[K]) take(name string) uint32 {
	if id, ok := t.restored[name]; ok {
		delete(t.restored, name)
		return id
	}
	for t.next == 0 || t.used[t.next] {
		t.next++
	}
	id := t.next
	t.used[id] = true
	t.next++
	return id
}

// hold and release count the uses of a key.
func (t *ids[K]) hold(key K) {
	t.number(key).refs++
	t.dirty[key] = true
}

func (t *ids[K]) release(key K) {
	t.number(key).refs--
	t.dirty[key] = true
}

// plan writes the names in use, and removes the others.
func (t *ids[K]) plan(to *[]op, have *table[bpf.NameKey, bpf.Name]) {
	for _, key := range sortedKeysFunc(t.dirty, t.order) {
		n := t.numbers[key]
		name := bpf.NameKey{Kind: t.kind, Id: n.id}
		if n.refs > 0 {
			have.put(to, phaseName, name, toName(t.text(key)))
		} else {
			have.drop(to, phaseDropName, name)
		}
	}
}

// settle is called when a plan has been carried out: nothing in the kernel
// refers any more to the numbers that nobody holds. It returns them.
func (t *ids[K]) settle() (gone []uint32) {
	for key := range t.dirty {
		if n := t.numbers[key]; n.refs <= 0 {
			delete(t.numbers, key)
			delete(t.used, n.id)
			gone = append(gone, n.id)
		}
	}
	t.dirty = map[K]bool{} // see planner.clean
	return gone
}

// markAll makes the next plan look at every name.
func (t *ids[K]) markAll() {
	for key := range t.numbers {
		t.dirty[key] = true
	}
}

// held returns the numbers in use.
func (t *ids[K]) held() map[uint32]bool {
	out := map[uint32]bool{}
	for _, n := range t.numbers {
		if n.refs > 0 {
			out[n.id] = true
		}
	}
	return out
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
