package resolve

// settleClaims decides who holds each cluster address whose claimants changed:
// the oldest service, then the first by namespace/name. All claimants are
// touched, since what each of them is told depends on the others.
func (u *round) settleClaims() {
	for a := range u.addresses {
		var holder *service
		for n := range u.claimants[a] {
			u.touch(n)
			u.report.add(n.ref(kindService))
			if s := u.services[n]; holder == nil || s.compare(holder.seniority) < 0 {
				holder = s
			}
		}
		if holder == nil {
			delete(u.holders, a)
		} else {
			u.holders[a] = holder.name
		}
	}
}
