package control

import (
	"context"
	"time"

	"sluice.io/sluice/test/bench/product"
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

// intake is what has come to an Envoy over its configuration stream.
type intake struct{ bytes, updates int64 }

// received reads Envoy's counters of bytes from the configuration server, and
// of listeners, routes, clusters and endpoints that it has added or changed.
func received(a *product.Admin) (*intake, error) {
	bytes, err := a.Sum(`^cluster\.xds[^.]*\.upstream_cx_rx_bytes_total$`)
	if err != nil {
		return nil, err
	}
	updates, err := a.Sum(`^(listener_manager\.listener_(added|modified)|cluster_manager\.cluster_(added|modified)|http\..*rds\..*\.config_reload|cluster\..*\.update_success)$`)
	if err != nil {
		return nil, err
	}
	return &intake{bytes: bytes, updates: updates}, nil
}
