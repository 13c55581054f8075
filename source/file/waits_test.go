package file

import (
	"testing"
	"time"
)

func TestWaits(t *testing.T) {
	tune := tuning{quiet: 10, most: 100, still: 50, patience: 200}
	start := time.Unix(0, 0)
	at := start.Add
	w := newWaits(tune)
	if !w.due().IsZero() {
		t.Error("something is due without an event")
	}
	w.add("a", at(0))
	w.add("a", at(5))
	w.add("b", at(8))
	if got := w.due(); !got.Equal(at(18)) {
		t.Errorf("due at %v, want 10 after the last event", got.Sub(start))
	}
	for i := range time.Duration(50) {
		w.add("a", at(8+i*4))
	}
	if got := w.due(); !got.Equal(at(100)) {
		t.Errorf("due at %v, want 100 after the first event", got.Sub(start))
	}
	if paths, rescan := w.take(); len(paths) != 2 || rescan || !w.due().IsZero() {
		t.Errorf("took %v, %v; then due %v", paths, rescan, w.due())
	}
	w.add("", at(300))
	if paths, rescan := w.take(); len(paths) != 0 || !rescan {
		t.Errorf("took %v, %v", paths, rescan)
	}
}

func TestWaitsForWriters(t *testing.T) {
	tune := tuning{still: 50, patience: 200}
	start := time.Unix(0, 0)
	half := func(size int64) reading { return reading{data: []byte("x"), writing: true, stamp: stamp{size: size}} }
	emptied := reading{stamp: stamp{size: 0}}
	done := reading{data: []byte("x")}
	tests := []struct {
		name string
		had  bool
		read []reading // one each 30
		want []bool
	}{
		{"closed at last", true, []reading{half(1), half(2), done}, []bool{true, true, false}},
		{"open but still", true, []reading{half(1), half(1), half(1)}, []bool{true, true, false}},
		{"growing without end", true, []reading{half(1), half(2), half(3), half(4), half(5), half(6), half(7), half(8)},
			[]bool{true, true, true, true, true, true, true, false}},
		{"emptied", true, []reading{emptied, emptied, emptied}, []bool{true, true, false}},
		{"empty and new", false, []reading{emptied}, []bool{false}},
		{"removed", true, []reading{half(1), {gone: true}}, []bool{true, false}},
	}
	for _, test := range tests {
		w := newWaits(tune)
		for i, r := range test.read {
			if got := w.again("a", r, test.had, start.Add(time.Duration(30*i))); got != test.want[i] {
				t.Errorf("%s: reading %d: again = %v", test.name, i, got)
			}
		}
	}
}
