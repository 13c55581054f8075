package identity

import (
	"cmp"
	"slices"
	"time"
)

// step does what is due: it lets go of what is over, has renewed certificates
// take over, and chooses whom to ask for. It returns what changed, and when to
// look again; never, if that is zero.
func (k *Keeper) step(now time.Time) (Change, []ID, time.Time) {
	k.mu.Lock()
	defer k.mu.Unlock()
	var next time.Time
	for id, e := range k.entries {
		if !e.wanted && !e.busy && !now.Before(e.left.Add(k.opts.Linger)) {
			delete(k.entries, id)
			k.put(id, e, nil)
			continue
		}
		next = sooner(next, k.advance(e, now))
	}
	ask, due := k.choose(now)
	c := k.changed
	k.changed = Change{SVIDs: map[ID]*SVID{}}
	return c, ask, sooner(next, due)
}

// advance moves an identity on to what serves now, and returns when it moves on
// again.
func (k *Keeper) advance(e *entry, now time.Time) time.Time {
	if e.next != nil && !now.Before(e.nextAt) {
		k.put(e.id, e, e.next)
		e.next = nil
	}
	if e.svid != nil && !now.Before(e.svid.NotAfter) {
		if e.wanted {
			k.log.Error("the certificate of an identity has expired before it was renewed", "identity", e.id.String(), "reason", e.problem)
		}
		k.put(e.id, e, nil)
		e.due = earlier(e.due, now)
	}
	var next time.Time
	if !e.wanted {
		next = e.left.Add(k.opts.Linger)
		if e.busy {
			next = time.Time{} // its result comes first
		}
	}
	if e.next != nil {
		next = sooner(next, e.nextAt)
	}
	if e.svid != nil {
		next = sooner(next, e.svid.NotAfter)
	}
	return next
}

// put has an identity served by another certificate, or by none.
func (k *Keeper) put(id ID, e *entry, s *SVID) {
	if e.svid != nil || s != nil {
		k.changed.SVIDs[id] = s
	}
	e.svid = s
}

// choose picks the identities to ask for now, as many as there are places: those
// without a certificate first, and those that wait longest. It returns when the
// next one is due.
func (k *Keeper) choose(now time.Time) (ask []ID, next time.Time) {
	if k.bundle == nil {
		return nil, time.Time{} // nothing that an issuer returns could be checked
	}
	var due []*entry
	for _, e := range k.entries {
		switch {
		case !e.wanted || e.busy:
		case e.due.After(now):
			next = sooner(next, e.due)
		default:
			due = append(due, e)
		}
	}
	slices.SortFunc(due, func(a, b *entry) int {
		return cmp.Or(first(b)-first(a), a.due.Compare(b.due), Compare(a.id, b.id))
	})
	for _, e := range due {
		// Who finds no place is looked at when a request ends.
		if k.busy == k.opts.Parallel || e.svid != nil && k.renewal >= max(1, k.opts.Parallel-1) {
			break
		}
		e.busy, e.asked, e.progress = true, now, "making a key"
		k.busy++
		if e.renews = e.svid != nil; e.renews {
			k.renewal++
		}
		ask = append(ask, e.id)
	}
	return ask, next
}

// first is 1 for who has no certificate.
func first(e *entry) int {
	if e.svid == nil {
		return 1
	}
	return 0
}

// sooner is the earlier of two times, of which the zero one is never.
func sooner(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
