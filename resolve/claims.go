package resolve

import (
	"sluice.io/sluice/resolve/object"
)

// settleClaims decides who holds each cluster address whose claimants changed:
// the oldest service, then the first by namespace/name. All claimants are
// touched, since what each of them is told depends on the others.
func (u *round) settleClaims() {
	for a := range u.addresses {
		var holder *service
		for n := range u.claimants[a] {
			u.touch(n)
			u.report.Add(n.Ref(object.KindService))
			if s := u.services[n]; holder == nil || s.Compare(holder.Seniority) < 0 {
				holder = s
			}
		}
		if holder == nil {
			delete(u.holders, a)
		} else {
			u.holders[a] = holder.Name
		}
	}
}
