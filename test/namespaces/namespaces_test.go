package namespaces

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"testing"
)

func TestNamespace(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root")
	}
	name := fmt.Sprintf("slt-%d-space", os.Getpid())
	path, err := New(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Delete(path) })
	if _, err := New(name); !errors.Is(err, fs.ErrExist) {
		t.Errorf("another one of that name: %v", err)
	}
	outside, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	var inside []net.Interface
	if err := Do(path, func() (err error) { inside, err = net.Interfaces(); return err }); err != nil {
		t.Fatal(err)
	}
	if len(inside) != 1 || len(outside) < 2 {
		t.Errorf("links inside: %v, outside: %v; want the loopback alone inside", inside, outside)
	}
	if again, err := net.Interfaces(); err != nil || len(again) != len(outside) {
		t.Errorf("links outside afterwards: %v, %v", again, err)
	}
	if err := Delete(path); err != nil {
		t.Error(err)
	}
	if err := Do(path, func() error { return nil }); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a namespace that was deleted: %v", err)
	}
}
