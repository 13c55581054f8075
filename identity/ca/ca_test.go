package ca_test

import (
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/ca"
	"sluice.io/sluice/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func options(t *testing.T, dir string) ca.Options {
	return ca.Options{Dir: dir, TrustDomain: identitytest.ID(t, "a", "b").TrustDomain()}
}

func open(t *testing.T, o ca.Options) *ca.CA {
	t.Helper()
	c, err := ca.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func bundle(t *testing.T, c *ca.CA) *identity.Bundle {
	t.Helper()
	b, err := c.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// request asks for an identity with a key of its own.
func request(t *testing.T, id identity.ID) identity.Request {
	t.Helper()
	der, err := identity.NewRequest(id, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Request{ID: id, DER: der, Lifetime: time.Hour}
}

func TestSign(t *testing.T) {
	c := open(t, options(t, filepath.Join(t.TempDir(), "deep", "ca")))
	id := identitytest.ID(t, "shop", "cart")
	chain, err := c.Sign(t.Context(), request(t, id))
	if err != nil || len(chain) != 1 {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	leaf := chain[0]
	if d := time.Until(leaf.NotAfter); d > time.Hour || d < 59*time.Minute || time.Since(leaf.NotBefore) < 4*time.Minute {
		t.Errorf("valid from %s to %s: want an hour, and a little before now for clocks that are behind", leaf.NotBefore, leaf.NotAfter)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle(t, c).PEM())
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			t.Error(err)
		}
	}
	long := request(t, id)
	long.Lifetime = 1000 * time.Hour
	if chain, err = c.Sign(t.Context(), long); err != nil || time.Until(chain[0].NotAfter) > 24*time.Hour {
		t.Errorf("a request for 1000 hours: %v, %v", chain[0].NotAfter, err)
	}
}

// TestSignsNothingElse: the authority of a node signs the form that there is, for
// its own trust domain, and for whom the keeper asked.
func TestSignsNothingElse(t *testing.T) {
	c := open(t, options(t, filepath.Join(t.TempDir(), "ca")))
	id := identitytest.ID(t, "shop", "cart")
	elsewhere, err := identity.ParseTrustDomain("example.com")
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := identity.New(elsewhere, "shop", "cart")
	if err != nil {
		t.Fatal(err)
	}
	other := request(t, identitytest.ID(t, "shop", "till"))
	other.ID = id
	for name, r := range map[string]identity.Request{
		"of another identity": other, "of another trust domain": request(t, foreign), "no request": {ID: id, DER: []byte("x")},
	} {
		if _, err := c.Sign(t.Context(), r); !errors.Is(err, identity.ErrDenied) {
			t.Errorf("%s: %v, want it denied", name, err)
		}
	}
}

func TestStaysTheSame(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	first, err := ca.Open(options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	was := bundle(t, first)
	if _, err := ca.Open(options(t, dir)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("opened twice: %v", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second := open(t, options(t, dir))
	if !bundle(t, second).Equal(was) {
		t.Error("another authority after a restart: nobody would trust what was signed")
	}
	_ = second.Close()
	o := options(t, dir)
	if o.TrustDomain, err = identity.ParseTrustDomain("example.com"); err != nil {
		t.Fatal(err)
	}
	if _, err := ca.Open(o); err == nil || !strings.Contains(err.Error(), `of trust domain "cluster.local"`) {
		t.Errorf("opened for another trust domain: %v", err)
	}
}

// TestOneWins: of several that start at once, one makes the authority.
func TestOneWins(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	var group sync.WaitGroup
	opened := make(chan *ca.CA, 8)
	for range 8 {
		group.Go(func() {
			if c, err := ca.Open(options(t, dir)); err == nil {
				opened <- c
			}
		})
	}
	group.Wait()
	close(opened)
	n := 0
	for c := range opened {
		n++
		_ = c.Close()
	}
	if n == 0 {
		t.Error("nobody could open it")
	}
	open(t, options(t, dir))
}

func TestFilesAreClosed(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	c := open(t, options(t, dir))
	if _, err := c.Rotate(ca.Prepare, false); err != nil {
		t.Fatal(err)
	}
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %#o", path, info.Mode().Perm())
		}
		return err
	}))
	for name, expose := range map[string]func(dir, file string) error{
		"the group reads the file":    func(_, file string) error { return os.Chmod(file, 0o640) },
		"others write the file":       func(_, file string) error { return os.Chmod(file, 0o602) },
		"the group enters the folder": func(dir, _ string) error { return os.Chmod(dir, 0o710) },
		"others enter the folder":     func(dir, _ string) error { return os.Chmod(dir, 0o701) },
		"a link": func(_, file string) error {
			return errors.Join(os.Rename(file, file+"-elsewhere"), os.Symlink(file+"-elsewhere", file))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "ca")
			c, err := ca.Open(options(t, dir))
			must(t, err)
			must(t, c.Close())
			must(t, expose(dir, filepath.Join(dir, "authority.json")))
			if _, err := ca.Open(options(t, dir)); err == nil {
				t.Error("taken as it is")
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestDamage: what cannot be read is neither used nor replaced, and no message
// shows a part of it.
func TestDamage(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "ca")
	c, err := ca.Open(options(t, dir))
	must(t, err)
	_, err = c.Rotate(ca.Prepare, false)
	must(t, err)
	must(t, c.Close())
	path := filepath.Join(dir, "authority.json")
	whole, err := os.ReadFile(path)
	must(t, err)
	var content struct {
		TrustDomain string           `json:"trustDomain"`
		Roots       []map[string]any `json:"roots"`
	}
	must(t, json.Unmarshal(whole, &content))
	changed := func(change func()) []byte {
		must(t, json.Unmarshal(whole, &content))
		change()
		text, err := json.Marshal(content)
		must(t, err)
		return text
	}
	key := content.Roots[0]["key"].(string)
	for name, text := range map[string][]byte{
		"empty":            nil,
		"cut":              whole[:len(whole)/2],
		"twice":            append(append([]byte(nil), whole...), whole...),
		"no roots":         changed(func() { content.Roots = nil }),
		"two that sign":    changed(func() { content.Roots[1]["role"] = "signing" }),
		"an unknown role":  changed(func() { content.Roots[1]["role"] = "x" }),
		"keys exchanged":   changed(func() { content.Roots[0]["key"], content.Roots[1]["key"] = content.Roots[1]["key"], key }),
		"no key":           changed(func() { delete(content.Roots[0], "key") }),
		"a key cut off":    changed(func() { content.Roots[0]["key"] = key[:len(key)/2] }),
		"no certificate":   changed(func() { content.Roots[0]["certificate"] = "" }),
		"an unknown field": []byte(strings.Replace(string(whole), `"trustDomain"`, `"x": 1, "trustDomain"`, 1)),
		"far too large":    append(append([]byte(nil), whole...), make([]byte, 1<<20)...),
	} {
		t.Run(name, func(t *testing.T) {
			must(t, os.WriteFile(path, text, 0o600))
			_, err := ca.Open(options(t, dir))
			if err == nil {
				t.Fatal("taken as it is")
			}
			if strings.Contains(err.Error(), key[40:80]) {
				t.Error("the error shows the key")
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(text) {
				t.Errorf("it was written over: %v", err)
			}
		})
	}
	// What a writer has left that was killed is removed: there are keys in it.
	must(t, os.WriteFile(path, whole, 0o600))
	must(t, os.WriteFile(path+".123", whole, 0o600))
	open(t, options(t, dir))
	if _, err := os.Stat(path + ".123"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("left there: %v", err)
	}
}
