package kube

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

type objects = map[model.ObjectRef]source.KubeObject

func serviceRef(name string) model.ObjectRef {
	return model.ObjectRef{Kind: "Service", Namespace: "shop", Name: name}
}

func service(name, ip string) source.KubeObject {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "shop", Name: name, Labels: map[string]string{"a": "b"}}, Spec: corev1.ServiceSpec{ClusterIP: ip}}
}

func testJournal(t *testing.T, dir string) (*journal, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	return newJournal(Options{Copies: "c"}, dir, func(kind string) bool { return kind != kindSecret }, slog.New(slog.NewTextHandler(&log, nil))), &log
}

func same(t *testing.T, got, want objects) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d objects are kept, want %d", len(got), len(want))
	}
	for ref, o := range want {
		if !equality.Semantic.DeepEqual(got[ref], o) {
			t.Errorf("%s is %+v, want %+v", ref, got[ref], o)
		}
	}
}

func TestJournalKeepsTheLastState(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j, log := testJournal(t, dir)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "c", Name: "s"}}
	j.write(objects{serviceRef("a"): service("a", "10.0.0.1"), serviceRef("b"): service("b", "10.0.0.2"), {Kind: kindSecret, Namespace: "c", Name: "s"}: secret}, true)
	j.flush()
	j.write(objects{serviceRef("a"): service("a", "10.0.0.9"), serviceRef("b"): nil}, false)
	j.write(objects{serviceRef("d"): service("d", "10.0.0.4")}, false)
	j.flush()
	if j.size == j.base {
		t.Error("a change wrote the whole file anew")
	}
	again, _ := testJournal(t, dir)
	want := objects{serviceRef("a"): service("a", "10.0.0.9"), serviceRef("d"): service("d", "10.0.0.4")}
	same(t, again.read(), want)
	for path, mode := range map[string]os.FileMode{dir: 0o700, j.path: 0o600} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != mode {
			t.Errorf("%s: %v, %v", path, info, err)
		}
	}
	if log.Len() > 0 {
		t.Errorf("the log says\n%s", log)
	}
}

// TestJournalTorn cuts the file at every byte, as a crash might: what is read is
// a state that was.
func TestJournalTorn(t *testing.T) {
	j, _ := testJournal(t, t.TempDir())
	j.write(objects{serviceRef("a"): service("a", "10.0.0.1")}, true)
	j.flush()
	base := int(j.size)
	j.write(objects{serviceRef("a"): service("a", "10.0.0.2")}, false)
	j.flush()
	text, err := os.ReadFile(j.path)
	if err != nil {
		t.Fatal(err)
	}
	for cut := range len(text) {
		if err := os.WriteFile(j.path, text[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		again, log := testJournal(t, j.dir)
		got := again.read()
		switch {
		case cut < base && len(got) != 0, cut >= base && len(got) != 1:
			t.Errorf("cut at %d of %d: %d objects", cut, len(text), len(got))
		case cut != base && cut != len(journalMagic) && !strings.Contains(log.String(), "cannot use all"):
			t.Errorf("cut at %d of %d: nothing is said", cut, len(text))
		}
	}
	text[len(text)-3] ^= 0x40
	if err := os.WriteFile(j.path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	again, _ := testJournal(t, j.dir)
	same(t, again.read(), objects{serviceRef("a"): service("a", "10.0.0.1")})
}

func TestJournalStaysSmall(t *testing.T) {
	j, _ := testJournal(t, t.TempDir())
	j.write(objects{}, true)
	j.flush()
	noise := rand.NewChaCha8([32]byte{})
	const writes = 200
	for i := range writes {
		bytes := make([]byte, 1<<14)
		_, _ = noise.Read(bytes)
		o := service("a", fmt.Sprint(i))
		o.SetAnnotations(map[string]string{"noise": hex.EncodeToString(bytes)})
		if i == writes-1 {
			o = service("a", "last")
		}
		j.write(objects{serviceRef("a"): o, serviceRef(fmt.Sprint(i % 7)): nil}, false)
		j.flush()
	}
	info, err := os.Stat(j.path)
	if err != nil || info.Size() > slack+2*j.base+1<<15 {
		t.Errorf("the file has %v bytes: %v", info.Size(), err)
	}
	again, _ := testJournal(t, j.dir)
	same(t, again.read(), objects{serviceRef("a"): service("a", "last")})
}

func TestJournalThatCannotBeWritten(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	j, log := testJournal(t, dir)
	for range 3 {
		j.write(objects{serviceRef("a"): service("a", "10.0.0.1")}, false)
		j.flush()
	}
	if n := strings.Count(log.String(), "cannot keep the last state"); n != 1 {
		t.Errorf("it is said %d times:\n%s", n, log)
	}
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	j.write(objects{serviceRef("b"): service("b", "10.0.0.2")}, false)
	j.flush()
	again, _ := testJournal(t, dir)
	same(t, again.read(), objects{serviceRef("a"): service("a", "10.0.0.1"), serviceRef("b"): service("b", "10.0.0.2")})
}

func TestSecretsAreNotWrittenToDisks(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "secrets")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if inMemory(dir) {
		dir = "/var/tmp" // where tests' folders are in memory themselves
	}
	if inMemory(dir) {
		t.Fatal("no folder on a disk is to be found")
	}
	j, log := testJournal(t, dir)
	j.memory = true
	j.write(objects{serviceRef("a"): service("a", "10.0.0.1")}, true)
	j.flush()
	if _, err := os.Stat(j.path); err == nil || !strings.Contains(log.String(), "is not in memory") {
		t.Errorf("stat: %v; the log says\n%s", err, log)
	}
}

// FuzzJournal reads files that nobody wrote.
func FuzzJournal(f *testing.F) {
	frame, err := frameOf(objects{serviceRef("a"): service("a", "10.0.0.1")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte(journalMagic), frame...))
	f.Fuzz(func(t *testing.T, text []byte) {
		j, _ := testJournal(t, t.TempDir())
		if err := os.WriteFile(j.path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		j.read()
	})
}

// TestWhatIsRestored: Secrets alone are no state to start with, and of a state without them
// is known that they are lost, not that there are none.
func TestWhatIsRestored(t *testing.T) {
	o := Options{Config: &rest.Config{}, Pods: true, Copies: "c", StateDir: filepath.Join(t.TempDir(), "state"), SecretsDir: memory(t)}
	begin := func() *Source {
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := begin()
	for _, j := range s.journals {
		j.write(objects{serviceRef("a"): service("a", "10.0.0.1")}, true)
		j.flush()
	}
	if s = begin(); !s.restore() || s.lost("Service") || s.lost(kindSecret) {
		t.Errorf("all is kept, and lost are Services %v, Secrets %v", s.lost("Service"), s.lost(kindSecret))
	}
	secrets := filepath.Join(o.SecretsDir, "cluster-state")
	if err := os.WriteFile(secrets, []byte("of another version\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s = begin(); !s.restore() || s.lost("Service") || !s.lost(kindSecret) {
		t.Errorf("Secrets cannot be used, and lost are Services %v, Secrets %v", s.lost("Service"), s.lost(kindSecret))
	}
	if err := os.Remove(secrets); err != nil {
		t.Fatal(err)
	}
	if s = begin(); !s.restore() || !s.lost(kindSecret) {
		t.Error("Secrets that are not there are not lost")
	}
	j := s.journals[1]
	j.write(objects{{Kind: kindSecret, Namespace: "c", Name: "s"}: &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "c", Name: "s"}}}, true)
	j.flush()
	if err := os.WriteFile(filepath.Join(o.StateDir, "cluster-state"), []byte("of another version\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if begin().restore() {
		t.Error("Secrets alone are taken for a state")
	}
}
