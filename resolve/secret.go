package resolve

import (
	"bytes"
	"fmt"

	corev1 "k8s.io/api/core/v1"

	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/credential"
	"sluice.io/sluice/source"
)

// credentialKey names what somebody reads out of a Secret or ConfigMap: a
// certificate with its key, or authorities.
type credentialKey struct {
	ref    model.ObjectRef
	bundle bool
}

// credentials is what was read, or why nothing can be.
type credentials struct {
	certificates, key []byte
	origin            model.Origin
	wrong             string
}

// ingestStore keeps a Secret or ConfigMap as it is: it is read only when
// something refers to it.
func (u *round) ingestStore(ref model.ObjectRef, obj *source.Object) {
	if obj == nil {
		delete(u.stores, ref)
	} else {
		u.stores[ref] = obj
	}
	for _, bundle := range []bool{false, true} {
		if k := (credentialKey{ref, bundle}); u.credentials[k] != nil {
			u.credentialsTouched.Add(k)
		}
	}
}

// rereadCredentials reads again what changed, and marks those who refer to
// something that became usable, or stopped being so.
func (u *round) rereadCredentials() {
	for k := range u.credentialsTouched {
		was := u.credentials[k]
		now := u.readCredentials(k)
		u.credentials[k] = now
		if was != nil && was.wrong == now.wrong {
			continue
		}
		for gw := range u.certified[k] {
			u.gatewaysTouched.Add(gw)
		}
		for p := range u.trustees[k] {
			u.policiesTouched.Add(p)
		}
	}
}

// credential returns what a reference leads to, reading it at the first time.
func (u *round) credential(k credentialKey) *credentials {
	c := u.credentials[k]
	if c == nil {
		c = u.readCredentials(k)
		u.credentials[k] = c
		u.credentialsTouched.Add(k)
	}
	return c
}

func (r *Resolver) readCredentials(k credentialKey) *credentials {
	obj := r.stores[k.ref]
	if obj == nil {
		return &credentials{wrong: "it does not exist"}
	}
	c := &credentials{origin: obj.Origin}
	data := entries(obj)
	var err error
	if k.bundle {
		c.certificates, err = credential.Bundle(data[credential.AuthorityEntry])
	} else {
		c.certificates, c.key, err = credential.KeyPair(data)
	}
	if err != nil {
		c.wrong = err.Error()
	}
	return c
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

// emitCredentials emits what is referred to, and forgets what no longer is.
func (u *round) emitCredentials() {
	for k := range u.credentialsTouched {
		c := u.credentials[k]
		used := len(u.certified[k])+len(u.trustees[k]) > 0
		if !used {
			delete(u.credentials, k)
		}
		usable := used && c != nil && c.wrong == ""
		if k.bundle {
			u.emitBundle(k.ref, c, usable)
		} else {
			u.emitKeyPair(k.ref, c, usable)
		}
	}
}

func (u *round) emitKeyPair(ref model.ObjectRef, c *credentials, usable bool) {
	was := u.made.KeyPairs[ref]
	switch {
	case !usable && was != nil:
		u.delta.KeyPairs[ref] = nil
	case usable && (was == nil || was.Origin != c.origin || !bytes.Equal(was.Certificates, c.certificates) || !bytes.Equal(was.PrivateKey, c.key)):
		u.delta.KeyPairs[ref] = &model.KeyPair{Ref: ref, Certificates: c.certificates, PrivateKey: c.key, Origin: c.origin}
	}
}

func (u *round) emitBundle(ref model.ObjectRef, c *credentials, usable bool) {
	was := u.made.Bundles[ref]
	switch {
	case !usable && was != nil:
		u.delta.Bundles[ref] = nil
	case usable && (was == nil || was.Origin != c.origin || !bytes.Equal(was.Certificates, c.certificates)):
		u.delta.Bundles[ref] = &model.Bundle{Ref: ref, Certificates: c.certificates, Origin: c.origin}
	}
}

// describeCredential words what is wrong with a reference.
func describeCredential(ref model.ObjectRef, c *credentials) string {
	return fmt.Sprintf("%s cannot be used: %s", ref, c.wrong)
}
