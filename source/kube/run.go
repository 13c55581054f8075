package kube

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// debounce is how long changes are gathered. An update of a few objects comes as
// so many events, a fraction of a millisecond apart.
const debounce = 3 * time.Millisecond

// fetchPatience is how long a start waits for documents that cannot be fetched: whoever
// refers to one that never can be must not hold up all others.
const fetchPatience = 10 * time.Second

// beatPause is how often the loop goes round when nothing happens.
const beatPause = 10 * time.Second

// retryPause is when documents that could not be fetched are tried again.
const retryPause = time.Second

func (s *Source) run(ctx context.Context, out func(source.Batch)) error {
	restored := s.restore()
	ctx, stop := context.WithCancel(ctx)
	var watchers sync.WaitGroup
	defer func() {
		stop()
		watchers.Wait()
		s.clients.close()
	}()
	for _, w := range s.watches {
		watchers.Go(func() { w.run(ctx) })
	}
	for _, j := range s.journals {
		watchers.Go(func() { j.run(ctx) })
	}
	began := time.Now()
	if !s.await(ctx, restored) {
		return nil
	}
	listed := time.Now()
	var whole source.Batch // what there is, until it is told
	for told := false; ; {
		changed, problems := s.inbox.take()
		b, again := s.derive.batch(ctx, changed)
		b.Problems = problems
		s.keep(changed, !told)
		switch {
		case told:
		case again && !s.opts.Partial && time.Since(listed) < fetchPatience:
			// What others refer to and could not be fetched is not to be taken for absent.
			whole = joined(whole, b)
			b = source.Batch{}
			s.inbox.hold(true)
		default:
			s.inbox.hold(false)
			b = joined(whole, b)
			s.log.Info("cluster read", "objects", len(b.Changed), "took", time.Since(began).Round(time.Millisecond))
			out(b)
			told, b = true, source.Batch{}
		}
		if len(b.Changed) > 0 || b.Problems != nil {
			out(b)
		}
		if !s.next(ctx, again) {
			return nil
		}
	}
}

// joined is a batch with what changed after it.
func joined(b, then source.Batch) source.Batch {
	if b.Changed == nil {
		return then
	}
	maps.Copy(b.Changed, then.Changed)
	if then.Problems != nil {
		b.Problems = then.Problems
	}
	return b
}

// await waits for the first lists; when there is a last state, not for long.
func (s *Source) await(ctx context.Context, restored bool) bool {
	var patience <-chan time.Time
	if restored {
		t := time.NewTimer(s.opts.Patience)
		defer t.Stop()
		patience = t.C
	}
	beat := time.NewTicker(beatPause)
	defer beat.Stop()
	for expired := false; !s.inbox.complete(len(s.watches)); {
		s.opts.Beat()
		if expired && !s.inbox.answered(s.watches, s.lost) {
			s.log.Warn("starting with the last state", "because", cmp.Or(s.Progress(), s.inbox.why()))
			return true
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return false
		case <-patience:
			expired = true
		case <-s.inbox.wake:
		}
	}
	return true
}

// next waits for changes, and not for ever.
func (s *Source) next(ctx context.Context, again bool) bool {
	s.opts.Beat()
	pause := beatPause
	if again {
		pause = retryPause
	}
	wait := time.NewTimer(pause)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-wait.C:
		return true
	case <-s.inbox.wake:
	}
	t := time.NewTimer(debounce)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// lost tells whether nothing is known of a kind from earlier, not even that there was
// nothing: its file is not there, or of no use. When the API server is away, there is no
// help; as long as it is there, its word is waited for, or the right to hear it.
func (s *Source) lost(kind string) bool {
	return slices.ContainsFunc(s.journals, func(j *journal) bool { return j.only(kind) && !j.there })
}

// restore takes in what an earlier run kept.
func (s *Source) restore() bool {
	all := map[model.ObjectRef]source.KubeObject{}
	for i, j := range s.journals {
		maps.Copy(all, j.read())
		if i == 0 && len(all) == 0 {
			return false // Secrets alone are no state: every cluster has a Service
		}
	}
	if len(all) == 0 {
		return false
	}
	byKind := map[string]map[model.ObjectRef]source.KubeObject{}
	for ref, obj := range all {
		if byKind[ref.Kind] == nil {
			byKind[ref.Kind] = map[model.ObjectRef]source.KubeObject{}
		}
		byKind[ref.Kind][ref] = obj
	}
	for _, w := range s.watches {
		if known := byKind[w.kind.name]; known != nil {
			w.store.restore(known)
			s.inbox.put(known)
		}
	}
	return true
}

// keep writes what changed to the disk.
func (s *Source) keep(changed map[model.ObjectRef]source.KubeObject, first bool) {
	for _, j := range s.journals {
		j.write(changed, first)
	}
}

// sortedProblems lists what is wrong, never as nil.
func sortedProblems(of map[*watch]source.Problem) []source.Problem {
	problems := make([]source.Problem, 0, len(of))
	for _, p := range of {
		problems = append(problems, p)
	}
	slices.SortFunc(problems, func(a, b source.Problem) int { return cmp.Compare(a.Message, b.Message) })
	return problems
}
