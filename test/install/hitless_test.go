package install_test

import (
	"flag"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// long has the steps that measure do more of what they do.
var long = flag.Bool("long", false, "five times the changes of the hitless step")

const (
	// hitlessServices are those that the routes come and go for, in turn: each new
	// route brings its cluster with it.
	hitlessServices = 10
	// hitlessRounds are of three changes each: a route is added, changed, removed.
	hitlessRounds = 67
	// hitlessClients of each kind ask at each address.
	hitlessClients = 2
)

// hitless: routes come, change and go, and the backends roll, and no client
// notices: neither those of a route that stays, nor the first of a new one.
func (w *world) hitless(t *testing.T) {
	rounds := hitlessRounds
	if *long {
		rounds *= 5
	}
	var services strings.Builder
	for i := range hitlessServices {
		fmt.Fprintf(&services, "---\napiVersion: v1\nkind: Service\nmetadata: {name: echo%d}\nspec: {selector: {app: echo}, ports: [{port: 80, targetPort: 3000}]}\n", i)
	}
	w.kubectl(t, services.String(), "apply", "-f", "-")
	w.endpointsOfServices(t)
	c := w.steady(t, hitlessClients, steadyPause)
	start := time.Now()
	var rolling sync.WaitGroup
	var rolls atomic.Int32
	changed := make(chan struct{})
	rolling.Go(func() {
		for {
			w.roll(t)
			rolls.Add(1)
			select {
			case <-changed:
				return
			default:
			}
		}
	})
	asked := 0
	for i := range rounds {
		asked += w.routeComesAndGoes(t, i)
		if t.Failed() {
			break
		}
	}
	close(changed)
	rolling.Wait()
	t.Logf("%d changes of routes and %d rollouts of the backends in %s; %d requests for routes that came and went",
		3*rounds, rolls.Load(), time.Since(start).Round(time.Second), asked)
	c.expectNoFailure(t)
	w.kubectl(t, services.String(), "delete", "-f", "-")
}

// roll replaces all pods of the backends. It may fail off the test's goroutine.
func (w *world) roll(t *testing.T) {
	for _, args := range []string{"rollout restart deployment/echo", "rollout status deployment/echo --timeout " + patience.String()} {
		if _, err := w.cluster.Kubectl(w.ctx, strings.Fields(args)...); err != nil {
			t.Error(err)
		}
	}
}

// endpointsOfServices waits until the Services for new routes have endpoints.
func (w *world) endpointsOfServices(t *testing.T) {
	t.Helper()
	for i := range hitlessServices {
		eventually(t, "endpoints", func() error {
			out, err := w.cluster.Kubectl(w.ctx, "get", "endpointslices", "-l", fmt.Sprintf("kubernetes.io/service-name=echo%d", i), "-o", "jsonpath={.items[*].endpoints[*].addresses}")
			if err == nil && out == "" {
				err = fmt.Errorf("echo%d has none", i)
			}
			return err
		})
	}
}

// routeComesAndGoes adds a route, changes it and removes it, and asks for it all
// the time, at one of the addresses: each answer is the old state's or the new
// one's. It returns how often it asked.
func (w *world) routeComesAndGoes(t *testing.T, i int) (asked int) {
	name := fmt.Sprintf("change-%d", i)
	object := "/apis/gateway.networking.k8s.io/v1/namespaces/default/httproutes/" + name
	document := func(says string) string {
		text := strings.Replace(route(name, "/"+name), "value: "+name+"}]", "value: "+says+"}]", 1)
		return strings.Replace(text, "{name: echo, port: 80}", fmt.Sprintf("{name: echo%d, port: 80}", i%hitlessServices), 1)
	}
	was := "echo"
	for _, says := range []string{name, name + "-changed", "echo"} {
		var err error
		if says == "echo" {
			err = w.cluster.Delete(w.ctx, object)
		} else {
			err = w.cluster.Apply(w.ctx, object, document(says))
		}
		w.must(t, err)
		asked += w.turns(t, w.addresses[i%len(w.addresses)], "/"+name, was, says)
		was = says
	}
	return asked
}

// settled is how many answers in a row tell that all workers know a change.
const settled = 5

// turns asks until another route answers, and then some times more.
func (w *world) turns(t *testing.T, addr, path, was, becomes string) (asked int) {
	t.Helper()
	for start, row := time.Now(), 0; row < settled; asked++ {
		a, err := w.cluster.Control().Get(w.ctx, at(addr, "", path))
		if err != nil {
			t.Fatalf("%s at %s: %v", path, addr, err)
		}
		switch got := a.Header.Get("Route"); {
		case a.Status != 200:
			t.Fatalf("%s at %s: %d while route %q becomes %q: %s", path, addr, a.Status, was, becomes, a.Body)
		case got == becomes:
			row++
		case got != was:
			t.Fatalf("%s at %s: route %q answers while %q becomes %q", path, addr, got, was, becomes)
		case time.Since(start) > patience:
			t.Fatalf("%s at %s: route %q answers after %s, want %q", path, addr, got, patience, becomes)
		default: // Another of Envoy's workers, which has not heard of it yet.
			row = 0
		}
	}
	return asked
}
