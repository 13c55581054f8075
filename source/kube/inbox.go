package kube

import (
	"maps"
	"slices"
	"strings"
	"sync"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// inbox is where watches leave what changed.
type inbox struct {
	wake chan struct{}

	mu sync.Mutex
	// changed are trimmed objects; nil for those that are gone.
	changed map[model.ObjectRef]source.KubeObject
	// settled are the watches whose first list is in, or that have nothing to list.
	settled map[*watch]bool
	// problems are what is wrong with each watch now.
	problems map[*watch]source.Problem
	// away are the watches that the API server does not answer.
	away    map[*watch]bool
	failure error
	// held tells that all is listed, and not all that it refers to is there yet.
	held bool
	// told is false when the problems changed since they were last taken.
	told bool
}

func newInbox() *inbox {
	return &inbox{
		wake: make(chan struct{}, 1), changed: map[model.ObjectRef]source.KubeObject{},
		settled: map[*watch]bool{}, problems: map[*watch]source.Problem{},
		away: map[*watch]bool{},
	}
}

func (in *inbox) signal() {
	select {
	case in.wake <- struct{}{}:
	default: // somebody has woken it already
	}
}

// put leaves changes; ones that were not taken yet are forgotten for them.
func (in *inbox) put(changed map[model.ObjectRef]source.KubeObject) {
	if len(changed) == 0 {
		return
	}
	in.mu.Lock()
	maps.Copy(in.changed, changed)
	in.mu.Unlock()
	in.signal()
}

// settle notes that a watch's first list is in.
func (in *inbox) settle(w *watch) {
	in.mu.Lock()
	in.settled[w] = true
	in.mu.Unlock()
	in.signal()
}

// complete tells whether all of so many watches are settled.
func (in *inbox) complete(watches int) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return len(in.settled) == watches
}

// answered tells whether the API server has given, or may yet give, its word on some
// kinds that are not settled: it refuses them, or has not failed to answer for them.
func (in *inbox) answered(watches []*watch, of func(kind string) bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	return slices.ContainsFunc(watches, func(w *watch) bool { return of(w.kind.name) && !in.settled[w] && !in.away[w] })
}

// awaited lists the watches that are not settled; empty when all are.
func (in *inbox) awaited(watches []*watch) string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var names []string
	for _, w := range watches {
		switch p, wrong := in.problems[w]; {
		case in.settled[w]:
		case wrong:
			names = append(names, w.kind.plural+" ("+p.Message+")")
		default:
			names = append(names, w.kind.plural)
		}
	}
	switch {
	case len(names) > 0:
	case in.held:
		return "waiting for Secrets and ConfigMaps that others refer to, which cannot be fetched"
	default:
		return ""
	}
	return "waiting for the API server's " + strings.Join(names, ", ")
}

// hold notes whether documents are waited for.
func (in *inbox) hold(held bool) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.held = held
}

// why tells why watches are not settled.
func (in *inbox) why() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.failure != nil {
		return in.failure.Error()
	}
	return "it takes too long"
}

// fail notes the last failure to reach the API server.
func (in *inbox) fail(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.failure = err
}

// problem notes what is wrong with a watch; nil when nothing is. It tells
// whether that is news.
func (in *inbox) problem(w *watch, p *source.Problem) bool {
	in.mu.Lock()
	old, had := in.problems[w]
	news := had != (p != nil) || p != nil && old != *p
	if p == nil {
		delete(in.problems, w)
	} else {
		in.problems[w] = *p
	}
	in.told = in.told && !news
	in.mu.Unlock()
	if news {
		in.signal()
	}
	return news
}

// lost notes that a watch gets no answer, or gets one again. First tells that all
// others got, or get, one.
func (in *inbox) lost(w *watch, away bool) (first bool) {
	in.mu.Lock()
	was, news := len(in.away), in.away[w] != away
	if away {
		in.away[w] = true
	} else {
		delete(in.away, w)
	}
	first = (was == 0) != (len(in.away) == 0)
	in.told = in.told && !first
	in.mu.Unlock()
	if news {
		in.signal()
	}
	return first
}

// take empties the inbox. The problems are nil when they did not change.
func (in *inbox) take() (changed map[model.ObjectRef]source.KubeObject, problems []source.Problem) {
	in.mu.Lock()
	defer in.mu.Unlock()
	changed = in.changed
	in.changed = map[model.ObjectRef]source.KubeObject{}
	if in.told {
		return changed, nil
	}
	in.told = true
	problems = sortedProblems(in.problems)
	if len(in.away) > 0 {
		problems = append(problems, source.Problem{Warning: true, Message: "the API server cannot be watched now: what is known of it stays in force"})
	}
	return changed, problems
}
