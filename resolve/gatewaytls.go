package resolve

import (
	"sluice.io/sluice/model"
	"sluice.io/sluice/resolve/finding"
	"sluice.io/sluice/resolve/object"
)

// certify follows a reference of a gateway's to a credential, when it may be
// followed, and remembers that the gateway depends on it.
func (u *round) certify(gw object.Name, from model.ObjectRef, k credentialKey, invalid string) *finding.Finding {
	to := object.NameOf(k.ref)
	if from.Namespace != to.Namespace {
		c := crossing{from.Kind, from.Namespace, to.Namespace}
		u.crossGateways.Add(c, gw)
		u.crossedBy.Add(gw, c)
	}
	if !u.granted(from, k.ref.Kind, to) {
		return finding.New(finding.RefNotPermitted,
			"no ReferenceGrant in namespace %s lets a %s of namespace %s refer to %s", to.Namespace, from.Kind, from.Namespace, k.ref)
	}
	u.certified.Add(k, gw)
	u.certifies.Add(gw, k)
	if c := u.credential(k); c.wrong != "" {
		return finding.New(invalid, "%s", describeCredential(k.ref, c))
	}
	return nil
}

// releaseGateway forgets what a gateway depends on.
func (u *round) releaseGateway(gw object.Name) {
	for k := range u.certifies[gw] {
		u.certified.Remove(k, gw)
		u.credentialsTouched.Add(k)
	}
	delete(u.certifies, gw)
	for c := range u.crossedBy[gw] {
		u.crossGateways.Remove(c, gw)
	}
	delete(u.crossedBy, gw)
}
