package ca

import (
	"fmt"
	"time"

	"sluice.io/sluice/identity"
)

// Step is a step of a rotation to another root. Between two steps everything
// works; a rotation may rest there for as long as one likes.
type Step string

// The steps, in their order.
const (
	// Prepare makes another root and has it trusted. The old one signs.
	Prepare Step = "prepare"
	// Switch has the new root sign, and destroys the old one's key. What that has
	// signed is trusted, and renewed soon.
	Switch Step = "switch"
	// Finish drops the old root.
	Finish Step = "finish"
	// Abandon takes Prepare back.
	Abandon Step = "abandon"
)

// Rotation is how far a rotation is.
type Rotation struct {
	// Signing, Coming and Retiring are the roots; the last two may be missing.
	Signing  identity.Fingerprint `json:"signing"`
	Coming   identity.Fingerprint `json:"coming,omitempty"`
	Retiring identity.Fingerprint `json:"retiring,omitempty"`
	// Next is the step to take, and from when on no connection is lost by it.
	Next  Step      `json:"next"`
	After time.Time `json:"after,omitzero"`
}

// Rotation tells how far a rotation is.
func (c *CA) Rotation() (Rotation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rotation()
}

func (c *CA) rotation() (Rotation, error) {
	r := Rotation{Next: Prepare}
	for i := range c.state.Roots {
		root := &c.state.Roots[i]
		cert, err := root.certificate()
		if err != nil {
			return Rotation{}, err
		}
		f := identity.FingerprintOf(cert)
		switch root.Role {
		case signing:
			r.Signing = f
		case coming:
			r.Coming, r.Next, r.After = f, Switch, root.Since.Add(c.opts.Settle)
		case retiring:
			// What it has signed last lives that long.
			r.Retiring, r.Next, r.After = f, Finish, root.Since.Add(c.opts.Lifetime)
		}
	}
	return r, nil
}

// Rotate takes a step. One that would lose connections is refused unless forced:
// before the new root is known everywhere, or while certificates of the old one
// may live. The caller hands the bundle on.
func (c *CA) Rotate(step Step, force bool) (Rotation, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, err := c.rotation()
	if err != nil {
		return Rotation{}, err
	}
	if step != at.Next && (step != Abandon || at.Next != Switch) {
		return at, fmt.Errorf("%s is not the next step of the rotation: %s is", step, at.Next)
	}
	now := time.Now()
	if step == at.Next && now.Before(at.After) && !force {
		return at, fmt.Errorf("%s before %s may lose connections (%s): wait, or force it", step, at.After.UTC().Format(time.RFC3339), reasons[step])
	}
	next, err := c.after(step, now)
	if err != nil {
		return at, fmt.Errorf("%s: %w", step, err)
	}
	if err := writeState(c.path(), next); err != nil {
		return at, fmt.Errorf("keep the authority's new state: %w", err)
	}
	c.state = next
	return c.rotation()
}

// reasons are why a step has to wait.
var reasons = map[Step]string{
	Switch: "not everybody may know the new root yet",
	Finish: "certificates that the old root has signed may be in use",
}

// after is the state after a step.
func (c *CA) after(step Step, now time.Time) (state, error) {
	next := state{TrustDomain: c.state.TrustDomain}
	switch step {
	case Prepare:
		r, err := c.newRoot()
		if err != nil {
			return state{}, err
		}
		r.Role = coming
		next.Roots = append(c.state.without(coming), r)
	case Abandon:
		next.Roots = c.state.without(coming)
	case Finish:
		next.Roots = c.state.without(retiring)
	case Switch:
		for _, r := range c.state.Roots {
			if r.Role == signing {
				r.Role, r.Key = retiring, ""
			} else {
				r.Role = signing
			}
			r.Since = now
			next.Roots = append(next.Roots, r)
		}
	}
	return next, nil
}
