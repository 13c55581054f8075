package identity

import (
	"context"
	"crypto/ecdsa"
	"fmt"
	"time"
)

// result is what became of a request.
type result struct {
	id    ID
	svid  *SVID
	err   error
	began time.Time
}

// ask makes a key, has it signed, and reports.
func (k *Keeper) ask(ctx context.Context, id ID) {
	r := result{id: id, began: time.Now()}
	r.svid, r.err = k.issue(ctx, id)
	select {
	case k.results <- r:
	case <-ctx.Done():
	}
}

// issue gets one certificate.
func (k *Keeper) issue(ctx context.Context, id ID) (*SVID, error) {
	ctx, cancel := context.WithTimeout(ctx, k.opts.Patience)
	defer cancel()
	key, err := newKey()
	if err != nil {
		return nil, fmt.Errorf("make a key: %w", err)
	}
	der, err := NewRequest(id, key)
	if err != nil {
		return nil, err
	}
	chain, err := k.opts.Authority.Sign(ctx, Request{
		ID: id, DER: der, Lifetime: k.opts.Lifetime, Progress: func(s string) { k.note(id, s) },
	})
	if err != nil {
		return nil, err
	}
	bundle := k.trusted()
	roots, err := expectation{
		id: id, key: key.Public().(*ecdsa.PublicKey), bundle: bundle,
		now: time.Now(), lifetime: k.opts.Lifetime, skew: k.opts.Skew,
	}.check(chain)
	if err != nil {
		return nil, err
	}
	return newSVID(id, bundle.withoutRoots(chain), roots, key)
}

// note keeps what a request waits for.
func (k *Keeper) note(id ID, progress string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if e := k.entries[id]; e != nil && e.busy {
		e.progress = progress
	}
}

func (k *Keeper) trusted() *Bundle {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.bundle
}

// finish works a result in.
func (k *Keeper) finish(r result) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	e := k.entries[r.id] // an identity is not let go of while it is asked for
	k.busy--
	if e.renews {
		k.renewal--
	}
	e.busy, e.renews, e.progress = false, false, ""
	k.metrics.took(r.err, now.Sub(r.began))
	// The bundle may have changed while the answer was on its way.
	if r.err == nil && !k.vouches(r.svid, now) {
		r.err = errUntrusted
	}
	if r.err != nil {
		k.failed(e, r.err, now)
		return
	}
	k.accept(e, r.svid, now)
}

// retiredPause is how soon, at the earliest, an issuer is asked again that has
// signed with a retiring authority.
const retiredPause = 30 * time.Minute

// accept takes a certificate in.
func (k *Keeper) accept(e *entry, s *SVID, now time.Time) {
	k.log.Info("certificate of an identity", "identity", e.id.String(), "serial", s.Serial, "until", s.NotAfter.UTC().Format(time.RFC3339))
	e.failures, e.problem, e.problemAt = 0, "", time.Time{}
	e.due = renewAt(now, s.NotAfter, k.opts.chance())
	if s.retiring(k.bundle) {
		// Nothing is wrong with it yet, but it will not last: look again.
		e.due = earlier(e.due, soon(now.Add(retiredPause), retiredPause, k.opts.chance()))
		e.problem, e.problemAt = "the issuer still signs with an authority that is retiring: have it sign with the new one", now
	}
	var old time.Time // until when the one that serves could go on
	if e.svid != nil && k.vouches(e.svid, now) {
		old = e.svid.NotAfter
	}
	at := useAt(now, s.NotBefore, k.trustedSince(s), k.opts.Hold, old)
	if at.After(now) {
		e.next, e.nextAt = s, at
		return
	}
	e.next = nil
	k.put(e.id, e, s)
}

// trustedSince is when the first of the authorities that a certificate leads to
// came into the bundle.
func (k *Keeper) trustedSince(s *SVID) time.Time {
	var first time.Time
	for i, f := range s.Roots {
		if at := k.since[f]; i == 0 || at.Before(first) {
			first = at
		}
	}
	return first
}

// failed notes a failure, and when to try again. What serves goes on serving.
func (k *Keeper) failed(e *entry, err error, now time.Time) {
	e.failures++
	e.problem, e.problemAt = err.Error(), now
	var left time.Duration
	if e.svid != nil {
		left = e.svid.NotAfter.Sub(now)
	}
	again := pause(e.failures, left, k.opts.chance())
	e.due = now.Add(again)
	k.log.Warn("no certificate for an identity", "identity", e.id.String(), "reason", e.problem, "again", again.Round(time.Millisecond).String())
}
