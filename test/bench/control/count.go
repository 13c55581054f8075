package control

import (
	"context"
	"time"

	"sluice.io/sluice/test/bench/rig"
)

// usage is CPU time used over some time, in seconds.
type usage struct{ sluice, envoy, seconds float64 }

// usage calls f and returns what sluice and Envoy used meanwhile.
func (t *trial) usage(ctx context.Context, f func() error) (*usage, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	before, err := t.used()
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	if err := f(); err != nil {
		return nil, err
	}
	after, err := t.used()
	if err != nil {
		return nil, err
	}
	return &usage{after.sluice - before.sluice, after.envoy - before.envoy, time.Since(begin).Seconds()}, nil
}

func (t *trial) used() (*usage, error) {
	sluice, err := rig.CgroupCPU(t.sluice.Cgroup)
	if err != nil {
		return nil, err
	}
	envoy, err := rig.CgroupCPU(t.sluice.EnvoyCgroup())
	if err != nil {
		return nil, err
	}
	return &usage{sluice: sluice.Seconds(), envoy: envoy.Seconds()}, nil
}

// received reads how many bytes have come to Envoy on its configuration stream.
func (t *trial) received() (int64, error) {
	return t.sluice.Admin().Sum(`^cluster\.xds\.upstream_cx_rx_bytes_total$`)
}

// countUpdates counts what Envoy took since the edits began, and what was edited.
// It comes last: Envoy's memory grows while it tells.
func (t *trial) countUpdates() (err error) {
	t.sample.Edited = len(t.mesh.edited)
	t.sample.Updated, err = t.sluice.Admin().Updated(t.began)
	return err
}
