package xds

import (
	"cmp"
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// secretBook knows the key pairs and bundles, which secrets are made from them,
// and which clusters and listeners ask for those. Only what is asked for is
// served. What it holds is never logged.
type secretBook struct {
	keyPairs map[model.ObjectRef]*model.KeyPair
	bundles  map[model.ObjectRef]*model.Bundle
	secrets  map[string]*secret
	// madeFrom are the names of the secrets that an object is in.
	madeFrom map[model.ObjectRef]map[string]bool
	asked    map[key][]string
	// touched are the secrets to make anew, and idle those that may have to go.
	touched map[string]bool
	idle    map[string]bool
}

type secret struct {
	translate.SecretSource
	askers map[key]bool
}

func newSecretBook() secretBook {
	return secretBook{
		keyPairs: map[model.ObjectRef]*model.KeyPair{},
		bundles:  map[model.ObjectRef]*model.Bundle{},
		secrets:  map[string]*secret{},
		madeFrom: map[model.ObjectRef]map[string]bool{},
		asked:    map[key][]string{},
		touched:  map[string]bool{},
		idle:     map[string]bool{},
	}
}

func (s *secret) objects() []model.ObjectRef {
	if s.KeyPair.Name != "" {
		return []model.ObjectRef{s.KeyPair}
	}
	return s.Bundles
}

// ask notes all the secrets that one resource asks for, from now on.
func (b *secretBook) ask(who key, wants []translate.SecretSource) {
	for _, name := range b.asked[who] {
		delete(b.secrets[name].askers, who)
		b.idle[name] = true
	}
	delete(b.asked, who)
	for _, w := range wants {
		s := b.secrets[w.Name]
		if s == nil {
			s = &secret{SecretSource: w, askers: map[key]bool{}}
			b.secrets[w.Name] = s
			for _, ref := range s.objects() {
				if b.madeFrom[ref] == nil {
					b.madeFrom[ref] = map[string]bool{}
				}
				b.madeFrom[ref][w.Name] = true
			}
		}
		if !s.askers[who] {
			s.askers[who] = true
			b.asked[who] = append(b.asked[who], w.Name)
		}
		b.touched[w.Name] = true
	}
}

// secretsChanged takes in key pairs and bundles, and makes the secrets that they
// are in, or that are newly asked for. Those that are gone stay as they are:
// whoever asked for them is changed as well.
func (p *plan) secretsChanged(d *model.Delta, c *change) {
	b := &p.secrets
	takeIn(b, b.keyPairs, d.KeyPairs)
	takeIn(b, b.bundles, d.Bundles)
	for name := range b.touched {
		b.make(name, c)
	}
	clear(b.touched)
}

// takeIn takes in what changed of the objects of one kind.
func takeIn[V any](b *secretBook, have, changed map[model.ObjectRef]*V) {
	for ref, v := range changed {
		if v == nil {
			delete(have, ref)
			continue
		}
		have[ref] = v
		b.touch(ref)
	}
}

func (b *secretBook) touch(ref model.ObjectRef) {
	for name := range b.madeFrom[ref] {
		b.touched[name] = true
	}
}

// make makes a secret, if all that belongs in it is known. Envoy waits a while for
// one that it does not get, and then serves nothing that needs it.
func (b *secretBook) make(name string, c *change) {
	s := b.secrets[name]
	if s == nil || len(s.askers) == 0 {
		return
	}
	askers := make([]key, 0, len(s.askers))
	for k := range s.askers {
		askers = append(askers, k)
	}
	slices.SortFunc(askers, func(a, b key) int { return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(a.name, b.name)) })
	if s.KeyPair.Name != "" {
		if k := b.keyPairs[s.KeyPair]; k != nil {
			c.put(secrets, name, translate.KeyPair(name, k), k.Origin, askers...)
		}
		return
	}
	var all []*model.Bundle
	for _, ref := range s.Bundles {
		if b.bundles[ref] == nil {
			return
		}
		all = append(all, b.bundles[ref])
	}
	if len(all) > 0 {
		c.put(secrets, name, translate.Bundle(name, all), all[0].Origin, askers...)
	}
}

// sweep removes the secrets that nobody asks for any more.
func (b *secretBook) sweep(c *change) {
	for name := range b.idle {
		s := b.secrets[name]
		if s == nil || len(s.askers) > 0 {
			continue
		}
		delete(b.secrets, name)
		for _, ref := range s.objects() {
			delete(b.madeFrom[ref], name)
			if len(b.madeFrom[ref]) == 0 {
				delete(b.madeFrom, ref)
			}
		}
		c.remove(secrets, name)
	}
	clear(b.idle)
}
