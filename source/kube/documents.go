package kube

import (
	"context"
	"log/slog"
	"sync"

	"golang.org/x/sync/errgroup"

	"sluice.io/sluice/model"
	"sluice.io/sluice/source"
)

// documents are Secrets and ConfigMaps: known by their metadata, and fetched
// when an object refers to them.
type documents struct {
	clients *clients
	log     *slog.Logger
	// there are those that exist, by their resource version.
	there map[model.ObjectRef]string
	// wanted are those that are referred to, by whom.
	wanted map[model.ObjectRef]map[model.ObjectRef]bool
	// wants is the inverse.
	wants map[model.ObjectRef][]model.ObjectRef
	// have are those that were handed on.
	have map[model.ObjectRef]bool
	// due are those to look at.
	due map[model.ObjectRef]bool
	// unread are those that are there and could not be fetched.
	unread map[model.ObjectRef]bool
}

func newDocuments(c *clients, log *slog.Logger) *documents {
	return &documents{
		clients: c, log: log, there: map[model.ObjectRef]string{}, wanted: map[model.ObjectRef]map[model.ObjectRef]bool{},
		wants: map[model.ObjectRef][]model.ObjectRef{}, have: map[model.ObjectRef]bool{}, due: map[model.ObjectRef]bool{}, unread: map[model.ObjectRef]bool{},
	}
}

// seen notes that a document is there now, or has gone.
func (d *documents) seen(ref model.ObjectRef, obj source.KubeObject) {
	if obj == nil {
		delete(d.there, ref)
	} else {
		d.there[ref] = obj.GetResourceVersion()
	}
	if d.wanted[ref] != nil {
		d.due[ref] = true
	}
}

// refers notes which documents an object refers to.
func (d *documents) refers(by model.ObjectRef, obj source.KubeObject) {
	for _, ref := range d.wants[by] {
		if delete(d.wanted[ref], by); len(d.wanted[ref]) == 0 {
			delete(d.wanted, ref)
			d.due[ref] = true
		}
	}
	delete(d.wants, by)
	if obj == nil {
		return
	}
	for _, ref := range referred(obj) {
		if d.wanted[ref] == nil {
			d.wanted[ref] = map[model.ObjectRef]bool{}
			d.due[ref] = true
		}
		d.wanted[ref][by] = true
		d.wants[by] = append(d.wants[by], ref)
	}
}

// fetches is how many documents are fetched at once.
const fetches = 16

// fetch brings the documents up to date. It tells whether some could not be
// fetched.
func (d *documents) fetch(ctx context.Context, out map[model.ObjectRef]*source.Object) (again bool) {
	var wanted []model.ObjectRef
	for ref := range d.due {
		delete(d.due, ref)
		delete(d.unread, ref)
		if _, there := d.there[ref]; !there || d.wanted[ref] == nil {
			if d.have[ref] {
				delete(d.have, ref)
				out[ref] = nil
			}
			continue
		}
		d.have[ref] = true
		wanted = append(wanted, ref)
	}
	// From here on the maps are the fetching goroutines'.
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(fetches)
	for _, ref := range wanted {
		group.Go(func() error {
			obj, err := d.clients.document(ctx, ref.Kind, ref.Namespace, ref.Name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				again = true
				d.log.Warn("cannot read what an object refers to; trying again", "object", ref.String(), "err", err)
				d.due[ref], d.unread[ref] = true, true
				return nil
			}
			if obj != nil {
				trimmed(&kind{}, obj)
				obj = bare(&kind{}, obj, false)
			}
			out[ref] = objectOf(ref, obj)
			return nil
		})
	}
	_ = group.Wait() // failures are tried again
	return again
}
