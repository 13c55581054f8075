package envoy_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/envoy/envoytest"
	"sluice.io/sluice/model"
	"sluice.io/sluice/xds"
)

// TestMain runs the tests; or, when a test started this binary as a sluice to be
// killed, a supervisor alone.
func TestMain(m *testing.M) {
	if told := os.Getenv("SLT_SUPERVISE"); told != "" {
		var cfg envoy.Config
		if err := json.Unmarshal([]byte(told), &cfg); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
		defer stop()
		if err := envoy.New(cfg).Run(ctx); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// background runs f until stop is called, at the end of the test at the latest.
func background(t *testing.T, f func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return stop
}

func eventually(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not in 30 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// node is a folder with an xDS server of an empty mesh, and the configuration of
// an Envoy.
func node(t *testing.T) envoy.Config {
	t.Helper()
	dir := envoytest.Dir(t)
	cfg := envoytest.Config(t, dir)
	s := xds.NewServer(xds.Config{Socket: cfg.XDSSocket, Owner: envoy.Nobody})
	if err := s.Prepare(context.Background(), model.NewDelta()); err != nil {
		t.Fatal(err)
	}
	background(t, s.Run)
	return cfg
}

func live(t *testing.T, s *envoy.Supervisor) envoy.Status {
	t.Helper()
	eventually(t, "Envoy live", func() bool { return s.Status().Live })
	return s.Status()
}

func start(t *testing.T, cfg envoy.Config) (*envoy.Supervisor, func()) {
	t.Helper()
	s := envoy.New(cfg)
	return s, background(t, s.Run)
}

// proc reads a line of /proc/PID/status.
func proc(t *testing.T, pid int, key string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if v, ok := strings.CutPrefix(line, key+":"); ok {
			return strings.Join(strings.Fields(v), " ")
		}
	}
	t.Fatalf("no %s in /proc/%d/status", key, pid)
	return ""
}

// TestProcess: who Envoy is, what it may, and where it is.
func TestProcess(t *testing.T) {
	cfg := node(t)
	s, _ := start(t, cfg)
	st := live(t, s)
	if st.Version != envoy.MinVersion || st.Adopted || st.Epoch != 0 || st.Problem != "" {
		t.Errorf("status: %+v", st)
	}
	for key, want := range map[string]string{
		"Uid": "65534 65534 65534 65534", "Gid": "65534 65534 65534 65534", "Groups": "",
		"CapEff": "0000000000200400", "CapPrm": "0000000000200400", "CapAmb": "0000000000200400",
	} {
		if got := proc(t, st.PID, key); got != want {
			t.Errorf("%s of Envoy is %q, want %q", key, got, want)
		}
	}
	b, err := os.ReadFile(filepath.Join(cfg.Cgroup, "cgroup.procs"))
	if err != nil || strings.TrimSpace(string(b)) != strconv.Itoa(st.PID) {
		t.Errorf("Envoy's cgroup holds %q (%v), want %d", b, err, st.PID)
	}
	if sid, err := unix.Getsid(st.PID); err != nil || sid == mustSid(t) {
		t.Errorf("Envoy is in session %d (%v), that of its starter", sid, err)
	}
	if ppid := proc(t, st.PID, "PPid"); ppid == strconv.Itoa(os.Getpid()) {
		t.Error("Envoy is a child of its starter: it would end with it")
	}
	for path, want := range map[string]os.FileMode{cfg.XDSSocket: 0o600, filepath.Join(cfg.Dir, "admin.sock"): 0o600, cfg.Dir: 0o750} {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %o", path, info.Mode(), err, want)
		}
	}
}

func mustSid(t *testing.T) int {
	t.Helper()
	sid, err := unix.Getsid(0)
	if err != nil {
		t.Fatal(err)
	}
	return sid
}

// TestKilledSluice: Envoy outlives its supervisor's SIGKILL, and the next one
// takes the same process over.
func TestKilledSluice(t *testing.T) {
	cfg := node(t)
	told, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	sluice := exec.Command(os.Args[0])
	sluice.Env = append(os.Environ(), "SLT_SUPERVISE="+string(told))
	sluice.Stderr = os.Stderr
	if err := sluice.Start(); err != nil {
		t.Fatal(err)
	}
	admin := func() bool { _, err := ask(cfg, "/ready"); return err == nil }
	eventually(t, "Envoy live", admin)
	if err := sluice.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := sluice.Wait(); !errors.As(err, &exit) {
		t.Fatal(err)
	}
	s, stop := start(t, cfg)
	st := live(t, s)
	if !st.Adopted || st.Epoch != 0 || st.Version != envoy.MinVersion {
		t.Errorf("status: %+v", st)
	}
	stop()
	if !admin() {
		t.Error("Envoy ended with its supervisor")
	}
	// Also without the record of the process: its cgroup tells. What it was started
	// from is then not known, so it is replaced, by hot restart.
	if err := os.Remove(filepath.Join(cfg.Dir, "process.json")); err != nil {
		t.Fatal(err)
	}
	s, _ = start(t, cfg)
	eventually(t, "the next epoch", func() bool { n := s.Status(); return n.Live && n.Epoch == 1 && n.PID != st.PID })
}

// ask asks Envoy's admin interface.
func ask(cfg envoy.Config, path string) (string, error) {
	tr := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(cfg.Dir, "admin.sock"))
	}}
	resp, err := (&http.Client{Transport: tr, Timeout: 5 * time.Second}).Get("http://envoy" + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// TestCrash: an Envoy that is killed is started again, as a new first epoch.
func TestCrash(t *testing.T) {
	s, _ := start(t, node(t))
	first := live(t, s)
	for i := 1; i <= 2; i++ {
		if err := unix.Kill(s.Status().PID, unix.SIGKILL); err != nil {
			t.Fatal(err)
		}
		eventually(t, "another Envoy", func() bool { st := s.Status(); return st.Live && st.Restarts == i && st.PID != first.PID })
	}
	if st := s.Status(); st.Epoch != 0 || st.Problem != "" {
		t.Errorf("status: %+v", st)
	}
}

// TestHotRestart: a changed bootstrap is taken in by the next epoch, while a
// request goes on in the one before.
func TestHotRestart(t *testing.T) {
	cfg := node(t)
	cfg.DrainTime = 3 * time.Second
	s, stop := start(t, cfg)
	first := live(t, s)
	conn, err := net.Dial("unix", filepath.Join(cfg.Dir, "admin.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stop()
	cfg.NodeID = "another"
	s, _ = start(t, cfg)
	eventually(t, "the next epoch", func() bool { st := s.Status(); return st.Live && st.Epoch == 1 && st.PID != first.PID })
	eventually(t, "the end of the old epoch", func() bool { return errors.Is(unix.Kill(first.PID, 0), unix.ESRCH) })
	if st := s.Status(); st.Restarts != 0 || !st.Live {
		t.Errorf("status: %+v", st)
	}
	info, err := ask(cfg, "/server_info")
	if err != nil || !strings.Contains(info, `"id": "another"`) {
		t.Errorf("%v %s", err, info)
	}
}

// TestWorkersDoNotFall: an Envoy that is to have fewer workers than the one before
// it keeps the number, and is not replaced again for that.
func TestWorkersDoNotFall(t *testing.T) {
	cfg := node(t)
	cfg.DrainTime, cfg.Concurrency = time.Second, 2
	s, stop := start(t, cfg)
	live(t, s)
	stop()
	cfg.Concurrency = 1
	s, _ = start(t, cfg)
	eventually(t, "the next epoch, with two workers", func() bool {
		st := s.Status()
		if !st.Live || st.Epoch != 1 {
			return false
		}
		args := cmdline(t, st.PID)
		i := slices.Index(args, "--concurrency")
		return i > 0 && args[i+1] == "2"
	})
	for range 30 { // longer than a look at the configuration takes
		time.Sleep(100 * time.Millisecond)
		if st := s.Status(); st.Epoch != 1 || st.Restarts != 0 {
			t.Fatalf("status: %+v", st)
		}
	}
}

// TestChangedBinary: a binary that is replaced is taken in while Envoy runs; one
// that cannot start leaves the old one running.
func TestChangedBinary(t *testing.T) {
	cfg := node(t)
	good := cfg.Binary
	cfg.Binary = filepath.Join(filepath.Dir(cfg.Dir), "envoy-binary")
	replace := func(target string) {
		t.Helper()
		next := cfg.Binary + ".next"
		if err := os.WriteFile(next, []byte("#!/bin/sh\n"+target+"\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, cfg.Binary); err != nil {
			t.Fatal(err)
		}
	}
	replace("exec " + good + ` "$@"`)
	s, _ := start(t, cfg)
	first := live(t, s)
	replace("exec  " + good + ` "$@"`)
	eventually(t, "the next epoch", func() bool { st := s.Status(); return st.Live && st.Epoch == 1 })
	eventually(t, "the end of the old epoch", func() bool { return errors.Is(unix.Kill(first.PID, 0), unix.ESRCH) })
	second := s.Status()
	replace(`[ "$1" = --version ] && exec ` + good + ` --version; echo broken; exit 1`)
	eventually(t, "the failure to be told", func() bool {
		p := s.Status().Problem
		return strings.HasPrefix(p, "hot restart failed: ") && strings.Contains(p, "broken")
	})
	if st := s.Status(); st.PID != second.PID || !st.Live || st.Restarts != 0 {
		t.Errorf("status: %+v, want the Envoy of %+v", st, second)
	}
	replace(`echo "envoy  version: abc/1.11.0/Clean/RELEASE/BoringSSL"`)
	eventually(t, "the version to be told", func() bool {
		p := s.Status().Problem
		return strings.HasPrefix(p, "hot restart failed: ") && strings.Contains(p, "is Envoy 1.11.0: Sluice needs at least "+envoy.MinVersion)
	})
	if st := s.Status(); st.PID != second.PID || !st.Live {
		t.Errorf("status: %+v, want the Envoy of %+v", st, second)
	}
}

// TestForeignProcess: a process that is not Envoy is never taken for it, though
// its pid is in the record.
func TestForeignProcess(t *testing.T) {
	cfg := node(t)
	sleep := exec.Command("sleep", "60")
	if err := sleep.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { sleep.Wait(); close(ended) }()
	t.Cleanup(func() { sleep.Process.Kill(); <-ended })
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	record := fmt.Sprintf(`{"pid":%d,"startTime":1,"epoch":0,"spec":"x"}`, sleep.Process.Pid)
	if err := os.WriteFile(filepath.Join(cfg.Dir, "process.json"), []byte(record), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := envoy.Stop(cfg); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		t.Error("a process that is not Envoy was ended")
	default:
	}
	if err := os.MkdirAll(cfg.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(cfg.Dir, "process.json"), []byte("{half"), 0o644); err != nil {
		t.Fatal(err)
	}
	s, _ := start(t, cfg)
	if st := live(t, s); st.Adopted || st.PID == sleep.Process.Pid {
		t.Errorf("status: %+v", st)
	}
}

// cmdline are a process's arguments.
func cmdline(t *testing.T, pid int) []string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\x00"), "\x00")
}

// TestHotSocket: Envoy and its successor meet in Envoy's own folder, where nobody
// else can take their names. One that was started without the flags, by an older
// sluice, is adopted and replaced all the same.
func TestHotSocket(t *testing.T) {
	cfg := node(t)
	s, stop := start(t, cfg)
	st := live(t, s)
	sockets, err := filepath.Glob(filepath.Join(cfg.Dir, "hot_*"))
	if err != nil || len(sockets) == 0 {
		t.Fatalf("no socket in Envoy's folder: %v", err)
	}
	for _, path := range sockets {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v, want mode 0600", path, info.Mode(), err)
		}
	}
	if b, err := os.ReadFile("/proc/net/unix"); err != nil || strings.Contains(string(b), "@"+filepath.Join(cfg.Dir, "hot")) {
		t.Errorf("the name is an abstract one: %v", err)
	}
	stop()
	args := cmdline(t, st.PID)
	at := slices.Index(args, "--socket-path")
	if err := unix.Kill(st.PID, unix.SIGKILL); err != nil || at < 0 {
		t.Fatal(err, args)
	}
	eventually(t, "the end of Envoy", func() bool { return errors.Is(unix.Kill(st.PID, 0), unix.ESRCH) })
	pid := runOlder(t, cfg, slices.Delete(args, at, at+4))
	s, _ = start(t, cfg)
	eventually(t, "the next epoch", func() bool { n := s.Status(); return n.Live && n.Epoch == 1 && n.PID != pid })
	if again := cmdline(t, s.Status().PID); slices.Contains(again, "--socket-path") {
		t.Errorf("the successor looks elsewhere: %q", again)
	}
}

// runOlder runs Envoy with arguments, in its cgroup, as nobody recorded it.
func runOlder(t *testing.T, cfg envoy.Config, args []string) int {
	t.Helper()
	if err := os.Remove(filepath.Join(cfg.Dir, "process.json")); err != nil {
		t.Fatal(err)
	}
	cgroup, err := os.Open(cfg.Cgroup)
	if err != nil {
		t.Fatal(err)
	}
	defer cgroup.Close()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		UseCgroupFD: true, CgroupFD: int(cgroup.Fd()),
		Credential:  &syscall.Credential{Uid: envoy.Nobody, Gid: envoy.Nobody},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN},
	}
	runtime.LockOSThread() // Envoy ends with the thread that started it
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-done
		runtime.UnlockOSThread()
	})
	eventually(t, "the older Envoy", func() bool { said, err := ask(cfg, "/ready"); return err == nil && strings.HasPrefix(said, "LIVE") })
	return cmd.Process.Pid
}

// shared are the files of the memory that Envoys share with their successors.
func shared(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/dev/shm/envoy_shared_memory_*")
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestStop leaves nothing: no process, no folder, no shared memory.
func TestStop(t *testing.T) {
	cfg := node(t)
	s, stop := start(t, cfg)
	st := live(t, s)
	args := cmdline(t, st.PID)
	id := args[slices.Index(args, "--base-id")+1]
	memory := "/dev/shm/envoy_shared_memory_" + id + "0" // Envoy multiplies it by ten
	if !slices.Contains(shared(t), memory) {
		t.Errorf("Envoy does not share %s", memory)
	}
	stop()
	if err := envoy.Stop(cfg); err != nil {
		t.Fatal(err)
	}
	if args, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", st.PID)); err == nil && len(args) > 0 {
		t.Errorf("Envoy is still there: %q", args)
	}
	if _, err := os.Stat(cfg.Dir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its folder is still there: %v", err)
	}
	if slices.Contains(shared(t), memory) {
		t.Errorf("%s is still there", memory)
	}
	if err := envoy.Stop(cfg); err != nil {
		t.Errorf("stopping once more: %v", err)
	}
}

// TestLog: the log is bounded.
func TestLog(t *testing.T) {
	cfg := node(t)
	cfg.LogLevel, cfg.MaxLog = "trace", 256<<10
	s, _ := start(t, cfg)
	live(t, s)
	rotated := filepath.Join(cfg.Dir, "envoy.log.1")
	eventually(t, "a second log", func() bool { _, err := os.Stat(rotated); return err == nil })
	f, err := os.Open(rotated)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if line, err := bufio.NewReader(f).ReadString('\n'); err != nil || !strings.HasPrefix(line, "[20") {
		t.Errorf("first line of the old log: %q %v", line, err)
	}
	if info, err := f.Stat(); err != nil || info.Size() > 2*cfg.MaxLog {
		t.Errorf("the old log has %d bytes", info.Size())
	}
}
