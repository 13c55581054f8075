package identity

import (
	"slices"
	"time"
)

// Status is what is known of an identity. It holds no secret.
type Status struct {
	ID ID `json:"id"`
	// Wanted tells that workloads of this node have it.
	Wanted bool `json:"wanted"`
	// Serial, NotBefore, NotAfter and Roots are those of the certificate that
	// serves; they are missing when there is none.
	Serial    string        `json:"serial,omitempty"`
	NotBefore time.Time     `json:"notBefore,omitzero"`
	NotAfter  time.Time     `json:"notAfter,omitzero"`
	Roots     []Fingerprint `json:"roots,omitempty"`
	// Next is the serial number of a certificate that is held back until NextAt.
	Next   string    `json:"next,omitempty"`
	NextAt time.Time `json:"nextAt,omitzero"`
	// Due is when the next certificate is asked for, Asked since when one is, and
	// Waiting what that waits for.
	Due     time.Time `json:"due,omitzero"`
	Asked   time.Time `json:"asked,omitzero"`
	Waiting string    `json:"waiting,omitempty"`
	// Problem is what an operator should know, since ProblemAt, and Failures how
	// often in a row there was no certificate.
	Problem   string    `json:"problem,omitempty"`
	ProblemAt time.Time `json:"problemAt,omitzero"`
	Failures  int       `json:"failures,omitempty"`
}

// Status lists the identities, sorted.
func (k *Keeper) Status() []Status {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	all := make([]Status, 0, len(k.entries))
	for _, e := range k.entries {
		all = append(all, e.status(now, k.bundle != nil))
	}
	slices.SortFunc(all, func(a, b Status) int { return Compare(a.ID, b.ID) })
	return all
}

func (e *entry) status(now time.Time, trust bool) Status {
	s := Status{
		ID: e.id, Wanted: e.wanted, Problem: e.problem, ProblemAt: e.problemAt, Failures: e.failures,
	}
	if e.svid != nil && now.Before(e.svid.NotAfter) {
		s.Serial, s.NotBefore, s.NotAfter, s.Roots = e.svid.Serial, e.svid.NotBefore, e.svid.NotAfter, e.svid.Roots
	}
	if e.next != nil {
		s.Next, s.NextAt = e.next.Serial, e.nextAt
	}
	switch {
	case e.busy:
		s.Asked, s.Waiting = e.asked, e.progress
	case !e.wanted:
	case !trust:
		s.Waiting = "the trust bundle: without it nothing that an issuer returns can be checked"
	default:
		s.Due = e.due
		if !e.due.After(now) {
			s.Waiting = "a place among the requests that are under way at once"
		}
	}
	return s
}

// Missing counts the identities that workloads have and that have no certificate.
func (k *Keeper) Missing() int {
	n := 0
	for _, s := range k.Status() {
		if s.Wanted && s.Serial == "" {
			n++
		}
	}
	return n
}

// Bundle is the trust bundle; nil when there is none yet.
func (k *Keeper) Bundle() *Bundle { return k.trusted() }
