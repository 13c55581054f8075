package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/test/cluster/machine"
)

// server starts, ends and reaps processes.
type server struct {
	listener net.Listener

	mu    sync.Mutex
	kids  map[int]*kid
	named map[string]*kid
	order []string
}

// kid is a child that somebody waits for.
type kid struct {
	pid    int
	done   chan struct{}
	status unix.WaitStatus // Set when done.
}

func listen(socket string) (*server, error) {
	if err := os.Remove(socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	return &server{listener: l, kids: map[int]*kid{}, named: map[string]*kid{}}, nil
}

// serve answers until it is told to end.
func (s *server) serve() error {
	sig := make(chan os.Signal, 64)
	signal.Notify(sig, syscall.SIGCHLD, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for {
			conn, err := s.listener.Accept()
			if err != nil {
				return
			}
			go s.answer(conn)
		}
	}()
	for got := range sig {
		if got != syscall.SIGCHLD {
			return nil
		}
		s.reap()
	}
	return nil
}

// reap collects all children that have ended, also those that were adopted.
func (s *server) reap() {
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR { //nolint:errorlint // A bare errno.
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		s.mu.Lock() // A child is known before its starter lets go of this.
		if k := s.kids[pid]; k != nil {
			k.status = ws
			delete(s.kids, pid)
			close(k.done)
		}
		s.mu.Unlock()
	}
}

func (s *server) answer(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	var q machine.Request
	var r machine.Response
	err := json.NewDecoder(conn).Decode(&q)
	switch {
	case err != nil:
	case q.Start != nil:
		err = s.start(*q.Start)
	case q.Stop != nil:
		err = s.stop(*q.Stop)
	case len(q.Run) > 0:
		r.Output, err = s.run(q.Run)
	default:
		r.Processes = s.status()
	}
	if err != nil {
		r.Error = err.Error()
	}
	_ = json.NewEncoder(conn).Encode(r)
}

// spawn starts a child that prints to out.
func (s *server) spawn(args []string, out *os.File) (*kid, error) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		return nil, err
	}
	defer func() { _ = null.Close() }()
	p, err := os.StartProcess(args[0], args, &os.ProcAttr{
		Dir:   "/",
		Env:   []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root"},
		Files: []*os.File{null, out, out},
		Sys:   &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		return nil, err
	}
	k := &kid{pid: p.Pid, done: make(chan struct{})}
	s.kids[k.pid] = k
	_ = p.Release() // Reaped here, not by package os.
	return k, nil
}

func (s *server) start(p machine.Process) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.named[p.Name]
	if before != nil && before.running() {
		return nil
	}
	out, err := os.OpenFile(p.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() { _ = out.Close() }()
	k, err := s.spawn(p.Args, out)
	if err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	if before == nil {
		s.order = append(s.order, p.Name)
	}
	s.named[p.Name] = k
	return nil
}

func (s *server) stop(q machine.Stop) error {
	s.mu.Lock()
	k := s.named[q.Name]
	var err error
	switch {
	case k == nil:
		err = fmt.Errorf("%s was never started", q.Name)
	case k.running(): // It isn't reaped while we hold the lock: the number is its own.
		err = unix.Kill(k.pid, unix.Signal(q.Signal))
	}
	s.mu.Unlock()
	if err != nil {
		return err
	}
	<-k.done
	return nil
}

func (s *server) run(args []string) (string, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return "", err
	}
	defer func() { _ = r.Close() }()
	s.mu.Lock()
	k, err := s.spawn(args, w)
	s.mu.Unlock()
	_ = w.Close()
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	_, _ = io.Copy(&out, r)
	<-k.done
	if k.status.ExitStatus() != 0 {
		return "", fmt.Errorf("%s: %s\n%s", strings.Join(args, " "), k.how(), strings.TrimSpace(out.String()))
	}
	return out.String(), nil
}

func (s *server) status() []machine.State {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []machine.State
	for _, name := range s.order {
		k := s.named[name]
		st := machine.State{Name: name, Running: k.running()}
		if !st.Running {
			st.Exit = k.how()
		}
		all = append(all, st)
	}
	return all
}

func (k *kid) running() bool {
	select {
	case <-k.done:
		return false
	default:
		return true
	}
}

// how says how the child ended.
func (k *kid) how() string {
	if k.status.Signaled() {
		return fmt.Sprintf("ended by %s", k.status.Signal())
	}
	return fmt.Sprintf("exit status %d", k.status.ExitStatus())
}
