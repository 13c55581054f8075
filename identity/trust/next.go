package trust

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"
	"time"

	"sluice.io/sluice/identity"
)

// Wish is what the operator says.
type Wish struct {
	Bundle *identity.Bundle
	// Distrusted are authorities to drop at once: their keys are known to others.
	Distrusted []identity.Fingerprint
}

// Published is what nodes are told.
type Published struct {
	Bundle *identity.Bundle
	// Retired tells since when authorities are gone from the operator's wish.
	Retired map[identity.Fingerprint]time.Time
}

// Next is what to publish after something else was. An authority that the wish
// has no more is retiring for the time of overlap, and then gone. The zero
// Published is for the first time. It also returns when to look again; never, if
// that is zero.
func Next(was Published, wish Wish, overlap time.Duration, now time.Time) (next Published, again time.Time, err error) {
	var active, retiring []*x509.Certificate
	add := func(r identity.Root, old bool) {
		switch {
		case slices.Contains(wish.Distrusted, r.Fingerprint):
		case old:
			retiring = append(retiring, r.Certificate)
		default:
			active = append(active, r.Certificate)
		}
	}
	for _, r := range wish.Bundle.Roots() {
		add(r, r.Retiring)
	}
	next.Retired = map[identity.Fingerprint]time.Time{}
	for _, r := range was.roots() {
		if _, wished := wish.Bundle.Has(r.Fingerprint); wished {
			continue
		}
		since, known := was.Retired[r.Fingerprint]
		if !known {
			since = now
		}
		end := since.Add(overlap)
		if !now.Before(end) || now.After(r.Certificate.NotAfter) || slices.Contains(wish.Distrusted, r.Fingerprint) {
			continue
		}
		next.Retired[r.Fingerprint] = since
		add(r, true)
		if again.IsZero() || end.Before(again) {
			again = end
		}
	}
	if len(active) == 0 {
		return was, time.Time{}, fmt.Errorf("no authority would be left that may sign: all are retiring or distrusted")
	}
	next.Bundle, err = identity.NewBundle(active, retiring)
	if err != nil {
		return was, time.Time{}, err
	}
	return next, again, nil
}

// roots are those that were published.
func (p Published) roots() []identity.Root {
	if p.Bundle == nil {
		return nil
	}
	return p.Bundle.Roots()
}

// Equal tells whether the same is published.
func (p Published) Equal(other Published) bool {
	return p.Bundle.Equal(other.Bundle) && maps.EqualFunc(p.Retired, other.Retired, time.Time.Equal)
}
