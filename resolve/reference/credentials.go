package reference

import (
	"bytes"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/credential"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/index"
	"sluice.io/sluice/source"
)

// Credentials are what is in Secrets and ConfigMaps. They are read only when
// something refers to them.
type Credentials struct {
	objects map[model.ObjectRef]*source.Object // unread
	read    map[Key]*content                   // what is used
	users   index.Of[Key, model.ObjectRef]
	uses    index.Of[model.ObjectRef, Key]
	touched index.Set[Key] // since they were last emitted
}

// Key names what somebody reads out of a Secret or ConfigMap: a certificate with
// its key, or a bundle of authorities.
type Key struct {
	Ref    model.ObjectRef
	Bundle bool
}

// content is what was read, or why nothing can be.
type content struct {
	certificates, key []byte
	origin            model.Origin
	wrong             string
}

// NewCredentials knows no Secrets and ConfigMaps.
func NewCredentials() *Credentials {
	return &Credentials{
		objects: map[model.ObjectRef]*source.Object{},
		read:    map[Key]*content{},
		users:   index.Of[Key, model.ObjectRef]{},
		uses:    index.Of[model.ObjectRef, Key]{},
		touched: index.Set[Key]{},
	}
}

// Put takes the new state of a Secret or ConfigMap, nil when it is gone.
func (c *Credentials) Put(ref model.ObjectRef, obj *source.Object) {
	if obj == nil {
		delete(c.objects, ref)
	} else {
		c.objects[ref] = obj
	}
	for _, bundle := range []bool{false, true} {
		if k := (Key{ref, bundle}); c.read[k] != nil {
			c.touched.Add(k)
		}
	}
}

// Reread reads again what changed. It returns the users of what became usable, or
// stopped being so.
func (c *Credentials) Reread() index.Set[model.ObjectRef] {
	concerned := index.Set[model.ObjectRef]{}
	for k := range c.touched {
		was, now := c.read[k], c.readOne(k)
		c.read[k] = now
		if was != nil && was.wrong == now.wrong {
			continue
		}
		for user := range c.users[k] {
			concerned.Add(user)
		}
	}
	return concerned
}

// Use remembers that a user depends on something. When that cannot be used it says
// why, with invalid for the reason.
func (c *Credentials) Use(user model.ObjectRef, k Key, invalid string) *finding.Finding {
	c.users.Add(k, user)
	c.uses.Add(user, k)
	found := c.read[k]
	if found == nil {
		found = c.readOne(k)
		c.read[k] = found
		c.touched.Add(k)
	}
	if found.wrong == "" {
		return nil
	}
	return finding.New(invalid, "%s cannot be used: %s", k.Ref, found.wrong)
}

// Release forgets what a user uses.
func (c *Credentials) Release(user model.ObjectRef) {
	for k := range c.uses[user] {
		c.users.Remove(k, user)
		c.touched.Add(k)
	}
	delete(c.uses, user)
}

func (c *Credentials) readOne(k Key) *content {
	obj := c.objects[k.Ref]
	if obj == nil {
		return &content{wrong: "it does not exist"}
	}
	out := &content{origin: obj.Origin}
	data := entries(obj)
	var err error
	if k.Bundle {
		out.certificates, err = credential.Bundle(data[credential.AuthorityEntry])
	} else {
		out.certificates, out.key, err = credential.KeyPair(data)
	}
	if err != nil {
		out.wrong = err.Error()
	}
	return out
}

func entries(obj *source.Object) map[string][]byte {
	switch o := obj.KubeObject.(type) {
	case *corev1.Secret:
		return o.Data
	case *corev1.ConfigMap:
		data := map[string][]byte{}
		for k, v := range o.BinaryData {
			data[k] = v
		}
		for k, v := range o.Data {
			data[k] = []byte(v)
		}
		return data
	}
	return nil
}

// Emit writes what changed since the last time into the delta, given all that was
// emitted before, and forgets what is no longer used.
func (c *Credentials) Emit(made *model.Mesh, delta *model.Delta) {
	for k := range c.touched {
		found := c.read[k]
		used := len(c.users[k]) > 0
		if !used {
			delete(c.read, k)
		}
		if !used || found.wrong != "" {
			found = nil
		}
		if k.Bundle {
			emitBundle(k.Ref, found, made, delta)
		} else {
			emitKeyPair(k.Ref, found, made, delta)
		}
	}
	clear(c.touched)
}

func emitKeyPair(ref model.ObjectRef, c *content, made *model.Mesh, delta *model.Delta) {
	was := made.KeyPairs[ref]
	switch {
	case c == nil && was != nil:
		delta.KeyPairs[ref] = nil
	case c != nil && (was == nil || was.Origin != c.origin || !bytes.Equal(was.Certificates, c.certificates) || !bytes.Equal(was.PrivateKey, c.key)):
		delta.KeyPairs[ref] = &model.KeyPair{Ref: ref, Certificates: c.certificates, PrivateKey: c.key, Origin: c.origin}
	}
}

func emitBundle(ref model.ObjectRef, c *content, made *model.Mesh, delta *model.Delta) {
	was := made.Bundles[ref]
	switch {
	case c == nil && was != nil:
		delta.Bundles[ref] = nil
	case c != nil && (was == nil || was.Origin != c.origin || !bytes.Equal(was.Certificates, c.certificates)):
		delta.Bundles[ref] = &model.Bundle{Ref: ref, Certificates: c.certificates, Origin: c.origin}
	}
}
