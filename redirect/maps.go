package redirect

import (
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
)

// mapIO reads and writes one map.
type mapIO interface {
	// load replaces the table by what the map holds.
	load(m *ebpf.Map) error
	// write carries out operations that are all puts or all deletes, and returns
	// how many were done.
	write(m *ebpf.Map, ops []op) (int, error)
}

// load reads a map in full. Only user space writes these maps, so nothing
// changes under the iteration.
func (t *table[K, V]) load(m *ebpf.Map) error {
	clear(t.rows)
	var (
		key   K
		value V
	)
	it := m.Iterate()
	for it.Next(&key, &value) {
		t.rows[key] = value
	}
	if err := it.Err(); err != nil {
		return fmt.Errorf("read the map %s: %w", t.name, err)
	}
	return nil
}

func (t *table[K, V]) write(m *ebpf.Map, ops []op) (int, error) {
	if len(ops) > 1 && m.Type() == ebpf.Hash {
		if n, err := t.writeBatch(m, ops); err == nil {
			return n, nil
		}
		// One by one, to find out what was done and which one fails.
	}
	for i, o := range ops {
		if err := t.writeOne(m, o); err != nil {
			return i, err
		}
	}
	return len(ops), nil
}

func (t *table[K, V]) writeBatch(m *ebpf.Map, ops []op) (int, error) {
	keys := make([]K, len(ops))
	for i, o := range ops {
		keys[i] = o.key.(K)
	}
	if ops[0].delete {
		return m.BatchDelete(keys, nil)
	}
	values := make([]V, len(ops))
	for i, o := range ops {
		values[i] = o.value.(V)
	}
	return m.BatchUpdate(keys, values, nil)
}

func (t *table[K, V]) writeOne(m *ebpf.Map, o op) error {
	key := o.key.(K)
	if o.delete {
		if err := m.Delete(&key); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return fmt.Errorf("delete from the map %s: %w", t.name, err)
		}
		return nil
	}
	value := o.value.(V)
	if err := m.Put(&key, &value); err != nil {
		return fmt.Errorf("write to the map %s (%d entries): %w", t.name, len(t.rows), err)
	}
	return nil
}

// maxBatch bounds the memory of one system call.
const maxBatch = 4096

// carryOut writes operations to the maps in order, and to the tables what was
// written: after an error they still say what the kernel holds.
func carryOut(maps map[string]*ebpf.Map, ops []op) error {
	for len(ops) > 0 {
		run := sameKind(ops)
		done, err := run[0].table.write(maps[run[0].table.mapName()], run)
		for _, o := range run[:done] {
			o.table.apply(o)
		}
		if err != nil {
			return err
		}
		ops = ops[len(run):]
	}
	return nil
}

// sameKind returns the operations at the head that can be one batch.
func sameKind(ops []op) []op {
	n := 1
	for n < len(ops) && n < maxBatch && ops[n].table == ops[0].table && ops[n].delete == ops[0].delete {
		n++
	}
	return ops[:n]
}

// fits tells whether the maps have room for a plan, before anything is done.
func fits(maps map[string]*ebpf.Map, ops []op) error {
	grow := map[anyTable]int{}
	for _, o := range ops {
		if !o.delete && !o.table.has(o.key) {
			grow[o.table]++
		}
	}
	for t, n := range grow {
		if room := int(maps[t.mapName()].MaxEntries()); t.size()+n > room {
			return fmt.Errorf("%w: %s would need %d entries and holds at most %d; nothing of this change was applied to the kernel",
				ErrFull, t.mapName(), t.size()+n, room)
		}
	}
	return nil
}

// ErrFull tells that the mesh is too large for the maps as they were sized.
var ErrFull = errors.New("a kernel map is full")
