package redirect

import (
	"fmt"

	"sluice.io/sluice/bpf"
)

// tables mirrors the maps that user space writes: what the kernel holds.
type tables struct {
	meta      *table[uint32, bpf.Meta]
	names     *table[bpf.NameKey, bpf.Name]
	steering  *table[bpf.SteeringKey, bpf.Steering]
	workloads *table[bpf.WorkloadKey, bpf.Workload]
	frontends *table[bpf.FrontendKey, bpf.Frontend]
	splits    *table[bpf.SplitKey, bpf.Split]
	groups    *table[uint32, bpf.Group]
	slots     *table[bpf.SlotKey, bpf.Endpoint]
	members   *table[bpf.Endpoint, uint32]
}

func newTables() *tables {
	return &tables{
		meta:      newTable[uint32, bpf.Meta]("sl_meta"),
		names:     newTable[bpf.NameKey, bpf.Name]("sl_names"),
		steering:  newTable[bpf.SteeringKey, bpf.Steering]("sl_steering"),
		workloads: newTable[bpf.WorkloadKey, bpf.Workload]("sl_workloads"),
		frontends: newTable[bpf.FrontendKey, bpf.Frontend]("sl_frontends"),
		splits:    newTable[bpf.SplitKey, bpf.Split]("sl_splits"),
		groups:    newTable[uint32, bpf.Group]("sl_groups"),
		slots:     newTable[bpf.SlotKey, bpf.Endpoint]("sl_slots"),
		members:   newTable[bpf.Endpoint, uint32]("sl_members"),
	}
}

// all returns the tables in no particular order.
func (t *tables) all() []anyTable {
	return []anyTable{t.meta, t.names, t.steering, t.workloads, t.frontends, t.splits, t.groups, t.slots, t.members}
}

// anyTable is what the writer of operations needs to know of a table.
type anyTable interface {
	mapName() string
	size() int
	has(key any) bool
	apply(o op)
	mapIO
}

// table is one map's content.
type table[K comparable, V comparable] struct {
	name string
	rows map[K]V
}

func newTable[K comparable, V comparable](name string) *table[K, V] {
	return &table[K, V]{name: name, rows: map[K]V{}}
}

func (t *table[K, V]) mapName() string { return t.name }

func (t *table[K, V]) size() int { return len(t.rows) }

func (t *table[K, V]) has(key any) bool {
	_, ok := t.rows[key.(K)]
	return ok
}

func (t *table[K, V]) apply(o op) {
	if o.delete {
		delete(t.rows, o.key.(K))
		return
	}
	t.rows[o.key.(K)] = o.value.(V)
}

// put returns the operation that makes key hold value, if it does not yet.
func (t *table[K, V]) put(to *[]op, p phase, key K, value V) {
	if have, ok := t.rows[key]; ok && have == value {
		return
	}
	*to = append(*to, op{phase: p, table: t, key: key, value: value})
}

// drop returns the operation that removes key, if it is there.
func (t *table[K, V]) drop(to *[]op, p phase, key K) {
	if _, ok := t.rows[key]; ok {
		*to = append(*to, op{phase: p, table: t, key: key, delete: true})
	}
}

// op is one change of one entry. Operations of a plan are carried out in order.
type op struct {
	phase  phase
	table  anyTable
	key    any
	value  any
	delete bool
}

func (o op) String() string {
	if o.delete {
		return fmt.Sprintf("delete %s %v", o.table.mapName(), o.key)
	}
	return fmt.Sprintf("put %s %v = %v", o.table.mapName(), o.key, o.value)
}

// phase orders the operations of a plan. What is referred to is written before
// what refers to it, and removed after it, so that between any two operations
// each client finds either what was right before or what is right after.
type phase int

const (
	phaseMeta phase = iota // numbers are taken before they are used
	phaseName
	phaseSlot // of groups that change: below their size, old or new endpoints
	phaseMember
	phaseGroup // sizes of groups that grow
	phaseSplit
	phaseScoped   // frontends of one client namespace, before
	phaseFrontend // the ones that point to them
	phaseWorkload
	phaseSteering
	phaseDropSteering
	phaseDropWorkload
	phaseDropFrontend
	phaseShrink // sizes of groups that shrink: who needs them less has been told
	phaseDropSplit
	phaseDropGroup
	phaseDropSlot
	phaseDropMember
	phaseDropName
)
