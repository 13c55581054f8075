// Package claim settles who has what several objects want and only one can have,
// such as an address: the senior of those that want it.
//
// It must not know what is claimed, nor by what.
package claim

import (
	"slices"

	"sluice.io/sluice/resolve/object"
)

// Book holds the claims of objects of one kind.
type Book[K comparable] struct {
	claims    map[object.Name]claims[K]
	claimants map[K][]object.Seniority // the senior first
	changed   map[K]object.Name        // who had it before
}

// claims are those of one object.
type claims[K comparable] struct {
	by   object.Seniority
	keys []K
}

// NewBook has no claims in it.
func NewBook[K comparable]() *Book[K] {
	return &Book[K]{claims: map[object.Name]claims[K]{}, claimants: map[K][]object.Seniority{}, changed: map[K]object.Name{}}
}

// Claim says all that an object claims, in place of what it claimed before.
func (b *Book[K]) Claim(by object.Seniority, keys []K) {
	was := b.claims[by.Name]
	for _, k := range was.keys {
		b.touch(k)
		b.remove(k, was.by)
	}
	for _, k := range keys {
		b.touch(k)
		b.add(k, by)
	}
	if len(keys) == 0 {
		delete(b.claims, by.Name)
	} else {
		b.claims[by.Name] = claims[K]{by, keys}
	}
}

func (b *Book[K]) touch(k K) {
	if _, ok := b.changed[k]; !ok {
		b.changed[k] = b.Holder(k)
	}
}

func (b *Book[K]) add(k K, by object.Seniority) {
	if i, twice := slices.BinarySearchFunc(b.claimants[k], by, object.Seniority.Compare); !twice {
		b.claimants[k] = slices.Insert(b.claimants[k], i, by)
	}
}

func (b *Book[K]) remove(k K, by object.Seniority) {
	i, there := slices.BinarySearchFunc(b.claimants[k], by, object.Seniority.Compare)
	switch {
	case !there:
	case len(b.claimants[k]) == 1:
		delete(b.claimants, k)
	default:
		b.claimants[k] = slices.Delete(b.claimants[k], i, i+1)
	}
}

// Holder returns who has something; no name when nobody claims it.
func (b *Book[K]) Holder(k K) object.Name {
	if all := b.claimants[k]; len(all) > 0 {
		return all[0].Name
	}
	return object.Name{}
}

// Claimants returns all that claim something, the one that has it first.
func (b *Book[K]) Claimants(k K) []object.Seniority { return b.claimants[k] }

// Changed returns that of which somebody's claims were said anew since it was last
// called, with who had it then.
func (b *Book[K]) Changed() map[K]object.Name {
	changed := b.changed
	b.changed = map[K]object.Name{}
	return changed
}
