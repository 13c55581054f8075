package identity

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

// The defaults of [Options].
const (
	defaultLifetime = 24 * time.Hour
	defaultParallel = 8
	defaultHold     = 5 * time.Minute
	defaultLinger   = 5 * time.Minute
	defaultPatience = 15 * time.Minute
	defaultSpread   = 30 * time.Minute
)

// Options say how a keeper works. What is zero has a default.
type Options struct {
	// Authority signs.
	Authority Authority
	// Lifetime is how long certificates are asked to be valid, 24 h. They are
	// renewed around the middle of it.
	Lifetime time.Duration
	// Parallel is how many requests are under way at once, 8. Identities that have
	// no certificate come first, and one place is always theirs.
	Parallel int
	// Patience is how long one request may take, 15 min.
	Patience time.Duration
	// Hold is how old a renewed certificate, and its authority's place in the
	// bundle, must be before it takes over from the old one, 5 min. An identity's
	// first certificate serves at once.
	Hold time.Duration
	// Skew is how far the issuer's clock may be ahead of this one, 5 min.
	Skew time.Duration
	// Linger is how long an identity is kept that no workload has any more, 5 min:
	// the next pod of a Job asks nobody.
	Linger time.Duration
	// Spread is the time in which certificates of retiring authorities are
	// renewed, 30 min.
	Spread time.Duration
	Log    *slog.Logger

	chance func() float64
}

func (o *Options) complete() error {
	if o.Authority == nil {
		return errors.New("identities need somebody who signs")
	}
	for v, otherwise := range map[*time.Duration]time.Duration{
		&o.Lifetime: defaultLifetime, &o.Patience: defaultPatience, &o.Linger: defaultLinger,
		&o.Spread: defaultSpread, &o.Hold: defaultHold, &o.Skew: defaultHold,
	} {
		if *v == 0 {
			*v = otherwise
		}
	}
	if o.Lifetime < time.Minute || o.Lifetime > defaultLifetime {
		return errors.New("certificates live from one minute to 24 hours")
	}
	// Short-lived certificates would be over before they serve.
	o.Hold, o.Spread = min(o.Hold, o.Lifetime/12), min(o.Spread, o.Lifetime/6)
	if o.Parallel <= 0 {
		o.Parallel = defaultParallel
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.chance == nil {
		o.chance = rand.Float64
	}
	return nil
}

// Change is what a keeper hands on. It is to be put in force as a whole, the
// bundle first.
type Change struct {
	// Bundle is the trust bundle when it changed, else nil.
	Bundle *Bundle
	// SVIDs are those that changed; nil for those that are gone.
	SVIDs map[ID]*SVID
}

// Keeper holds the SVIDs of the identities that run on a node: it asks for those
// that are missing, renews them, and lets go of those that nobody has any more.
type Keeper struct {
	opts    Options
	log     *slog.Logger
	metrics *metrics
	poke    chan struct{}
	results chan result

	mu      sync.Mutex
	entries map[ID]*entry
	bundle  *Bundle
	// since is when an authority came into the bundle.
	since map[Fingerprint]time.Time
	// changed is what has not been handed on yet.
	changed Change
	busy    int // requests under way
	renewal int // those of them that renew
}

// entry is an identity.
type entry struct {
	id     ID
	wanted bool
	left   time.Time // when nobody wanted it any more
	svid   *SVID     // serves
	next   *SVID     // is held back until
	nextAt time.Time
	due    time.Time // when to ask
	busy   bool      // it is being asked for
	renews bool      // while it had a certificate already
	asked  time.Time
	// failures are those in a row, and problem what an operator should know.
	failures  int
	problem   string
	problemAt time.Time
	progress  string
}

// NewKeeper allocates a keeper. It asks for nothing before it has a bundle
// ([Keeper.Trust]) and runs.
func NewKeeper(o Options) (*Keeper, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	return &Keeper{
		opts: o, log: o.Log, metrics: newMetrics(), poke: make(chan struct{}, 1), results: make(chan result),
		entries: map[ID]*entry{}, since: map[Fingerprint]time.Time{}, changed: Change{SVIDs: map[ID]*SVID{}},
	}, nil
}

// Want says which identities workloads of this node have, all of them. It
// returns at once.
func (k *Keeper) Want(ids ...ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	wanted := map[ID]bool{}
	for _, id := range ids {
		if id.IsZero() {
			continue
		}
		wanted[id] = true
		e := k.entries[id]
		if e == nil {
			e = &entry{id: id, due: now}
			k.entries[id] = e
		}
		if !e.wanted {
			e.wanted = true
			if e.svid == nil {
				e.due = now // a new pod doesn't wait out the pauses of those before it
			}
			k.wake()
		}
	}
	for id, e := range k.entries {
		if e.wanted && !wanted[id] {
			e.wanted, e.left = false, now
			k.wake()
		}
	}
}

// Trust says by which authorities peers are verified, and which may have signed
// what an issuer returns. It returns at once.
func (k *Keeper) Trust(b *Bundle) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if b == nil || b.Equal(k.bundle) {
		return
	}
	now := time.Now()
	since := map[Fingerprint]time.Time{}
	for _, r := range b.roots {
		at, ok := k.since[r.Fingerprint]
		if !ok && k.bundle != nil {
			at = now // with the first bundle nobody knows: it may have been there for long
		}
		since[r.Fingerprint] = at
	}
	k.bundle, k.since, k.changed.Bundle = b, since, b
	for _, e := range k.entries {
		k.distrust(e, now)
	}
	k.wake()
}

// distrust has certificates renewed that the new bundle no longer vouches for, or
// not for long.
func (k *Keeper) distrust(e *entry, now time.Time) {
	if e.next != nil && !k.vouches(e.next, now) {
		e.next = nil
	}
	switch {
	case e.svid == nil:
		e.due = now // a bundle may have been what was missing
	case !k.vouches(e.svid, now):
		e.due = now
		e.problem, e.problemAt = "the certificate's authority is not in the trust bundle any more: peers refuse it until it is renewed", now
		if e.next != nil {
			e.nextAt = now
		}
	case k.latest(e).retiring(k.bundle):
		e.due = earlier(e.due, soon(now, k.opts.Spread, k.opts.chance()))
	}
}

// vouches tells whether the bundle verifies a certificate now.
func (k *Keeper) vouches(s *SVID, now time.Time) bool {
	_, err := k.bundle.verify(s.chain, later(now, s.NotBefore))
	return err == nil
}

// latest is the newest certificate of an identity.
func (k *Keeper) latest(e *entry) *SVID {
	if e.next != nil {
		return e.next
	}
	return e.svid
}

// SVID is what serves for an identity; nil when there is none.
func (k *Keeper) SVID(id ID) *SVID {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.entries[id]; e != nil && e.svid != nil && time.Now().Before(e.svid.NotAfter) {
		return e.svid
	}
	return nil
}

// wake has the loop look again. The lock is held, or need not be.
func (k *Keeper) wake() {
	select {
	case k.poke <- struct{}{}:
	default:
	}
}

// Run keeps the identities until ctx is done. It hands on what changes, from one
// goroutine.
func (k *Keeper) Run(ctx context.Context, out func(Change)) error {
	var asking sync.WaitGroup
	defer asking.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for {
		c, ask, next := k.step(time.Now())
		if c.Bundle != nil || len(c.SVIDs) > 0 {
			out(c)
		}
		for _, id := range ask {
			asking.Go(func() { k.ask(ctx, id) })
		}
		wait := lookAgain
		if !next.IsZero() {
			wait = min(wait, time.Until(next))
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-k.poke:
		case <-time.After(wait):
		case r := <-k.results:
			k.finish(r)
		}
	}
}

// lookAgain is the longest time between two looks at the clock, which may have
// been set, or have stood while the machine slept.
const lookAgain = time.Minute

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
