package redirect

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice.io/sluice/bpf"
	"sluice.io/sluice/model"
)

// together asks for n clients after each other, on two threads at once, and
// returns what tells the answers of each thread apart. The two stay side by
// side: the one that finds a choice made is faster than the one that makes it.
func (d *decider) together(rq bpf.Request, n uint32) (digests [2]uint32, err error) {
	var (
		errs [2]error
		wait sync.WaitGroup
	)
	for i := range digests {
		wait.Go(func() {
			opts := runOptions(rq)
			opts.Repeat = n
			var a answer
			a, errs[i] = d.run(opts)
			digests[i] = a.Digest
			if errs[i] == nil && a.Verdict != bpf.VerdictKernel && a.Verdict != bpf.VerdictKept {
				errs[i] = fmt.Errorf("verdict %d", a.Verdict)
			}
		})
	}
	wait.Wait()
	return digests, errors.Join(errs[:]...)
}

// TestDecideAtOnce: what one client, or one socket, asks for at the same time
// gets the same answer: at first, after the time has passed, and after the
// endpoint went.
func TestDecideAtOnce(t *testing.T) {
	const rounds, clients, first = 20, 3000, 100
	ends := [2][]string{}
	for i := range 32 {
		ends[i%2] = append(ends[i%2], fmt.Sprintf("10.0.0.%d:80", i+1))
	}
	for _, c := range []struct {
		name     string
		affinity time.Duration
		datagram uint8
	}{{"affinity", time.Hour, 0}, {"flow", 0, 1}, {"flow of a client with affinity", time.Hour, 1}} {
		t.Run(c.name, func(t *testing.T) {
			b := newMesh().backend("cart", 80, model.UDP, ends[0]...)
			f := b.front("cart", 80, model.UDP, addrs("10.96.0.1"))
			f.Affinity = c.affinity
			d := newDecider(t, b.m)
			agree := func(when string) {
				t.Helper()
				rq := request(model.UDP, "10.96.0.1:80")
				rq.Datagram, rq.Netns, rq.Socket = c.datagram, first, first
				if got, err := d.together(rq, clients); err != nil || got[0] != got[1] {
					t.Fatalf("%s the answers differ: %x, %v", when, got, err)
				}
			}
			agree("at first")
			for i := range rounds {
				b.backend("cart", 80, model.UDP, ends[(i+1)%2]...)
				d.apply(&model.Delta{Endpoints: b.m.Endpoints})
				agree("after the endpoints went")
			}
			if c.affinity == 0 || c.datagram == 1 {
				return
			}
			for range 3 {
				for n := range uint64(clients) {
					d.age(bpf.AffinityKey{Netns: first + n, Frontend: d.planner.frontendIDs.get(f.Key), Family: uint32(ipv4)}, 2*time.Hour)
				}
				agree("after the time has passed")
			}
		})
	}
}

// age makes a client's latest connection older.
func (d *decider) age(key bpf.AffinityKey, by time.Duration) {
	d.t.Helper()
	var kept bpf.Kept
	if err := d.maps["sl_affinity"].Lookup(&key, &kept); err != nil {
		d.t.Fatal(err)
	}
	kept.Seen -= uint64(by)
	if err := d.maps["sl_affinity"].Put(&key, &kept); err != nil {
		d.t.Fatal(err)
	}
}

// TestSocketsOfOneClientAgree does it with sockets that connect at once.
func TestSocketsOfOneClientAgree(t *testing.T) {
	const rounds, n = 60, 12
	cfg := testConfig(t)
	client := newPod(t)
	ends := []string{"127.0.0.2:80", "127.0.0.3:80", "127.0.0.4:80", "127.0.0.5:80"}
	for _, e := range ends {
		client.serveUDP(e)
	}
	b := newMesh().workload(client.workload("shop", "client")).backend("sticky", 80, model.UDP, ends...)
	var vips []string
	for i := range rounds {
		f := b.front(fmt.Sprintf("sticky%d", i), 80, model.UDP, addrs(fmt.Sprintf("10.96.0.%d", i)), share{"sticky", 1, ""})
		f.Affinity = time.Hour
		vips = append(vips, f.VIPs[0].String())
	}
	d := openTest(t, cfg)
	mustSync(t, d, b.m)
	for _, vip := range vips {
		got, err := client.connectTogether(vip, n)
		if err != nil || len(got) != 1 {
			t.Fatalf("%s: %v, %v", vip, got, err)
		}
	}
}

// connectTogether connects n sockets at once, and returns how many went to each
// endpoint.
func (p *pod) connectTogether(vip string, n int) (map[string]int, error) {
	fds := make([]int, n)
	errs := make([]error, n)
	p.do(func() {
		for i := range fds {
			fds[i], errs[i] = unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		}
	})
	var wait sync.WaitGroup
	gun := make(chan struct{})
	for i, fd := range fds {
		defer unix.Close(fd)
		wait.Go(func() {
			<-gun
			errs[i] = errors.Join(errs[i], unix.Connect(fd, inet4(vip, 80)))
		})
	}
	close(gun)
	wait.Wait()
	got := map[string]int{}
	for i, fd := range fds {
		where, err := question(fd)
		errs[i] = errors.Join(errs[i], err)
		got[where]++
	}
	return got, errors.Join(errs...)
}

// question sends a datagram on a connected socket and returns the answer.
func question(fd int) (string, error) {
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}); err != nil {
		return "", err
	}
	if err := unix.Send(fd, []byte("?"), 0); err != nil {
		return "", err
	}
	return readLine(fd)
}
