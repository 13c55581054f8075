package main

import "testing"

func TestHeapSize(t *testing.T) {
	for given, want := range map[string]heapSize{"0": 0, "512Mi": 512 << 20, "1G": 1e9, "67108864": 64 << 20} {
		h := heapSize(1)
		if err := h.Set(given); err != nil || h != want {
			t.Errorf("%s: %d, %v, want %d", given, h, err, want)
		}
	}
	for _, wrong := range []string{"", "much", "-1Gi", "63Mi", "512m", "1e30"} {
		h := heapSize(1)
		if err := h.Set(wrong); err == nil || h != 1 {
			t.Errorf("%s: %d, %v, want an error", wrong, h, err)
		}
	}
}
