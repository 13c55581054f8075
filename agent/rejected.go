package agent

import (
	"slices"

	"sluice.io/sluice/model"
)

// Rejected is what of gateways this node's Envoy rejects, sorted. It
// is not known while Envoy has not answered to all that it was sent.
func (a *Agent) Rejected() (all []model.Rejected, known bool) {
	st := a.proxy.Status()
	for _, r := range st.Rejected {
		if at, ok := r.Gateway(); ok {
			all = append(all, at)
		}
	}
	slices.SortFunc(all, model.CompareRejected)
	return slices.Compact(all), st.Synced && !a.state.starting()
}
