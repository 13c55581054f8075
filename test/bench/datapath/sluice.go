package datapath

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

const (
	// filler is how many services one file of the folder holds.
	filler = 100
	// startTimeout bounds the start of a sluice.
	startTimeout = 2 * time.Minute
)

// sluice returns the cell of a running sluice with so many services in the
// kernel and one more, the last, with an HTTPRoute.
func (l *Lab) sluice(ctx context.Context, services int) (*rig.Cell, error) {
	if c := l.sluices[services]; c != nil {
		return c, nil
	}
	c, err := l.cell("sluice-" + itoa(services))
	if err != nil {
		return nil, err
	}
	s, err := l.Binaries.Prepare(l.Rig, c)
	if err != nil {
		return nil, err
	}
	for name, text := range folder(c, services) {
		if err := s.Write(name, text); err != nil {
			return nil, err
		}
	}
	if _, err := s.Start(ctx, startTimeout); err != nil {
		return nil, err
	}
	l.sluices[services] = c
	return c, nil
}

func folder(c *rig.Cell, services int) map[string]string {
	files := map[string]string{"clients.yaml": product.Workload("client", rig.NetnsPath(c.Client))}
	for first := 0; first < services; first += filler {
		var b strings.Builder
		for i := first; i < min(first+filler, services); i++ {
			b.WriteString(product.Service(i, rig.ServerIP, serverPort))
		}
		files[fmt.Sprintf("services-%05d.yaml", first)] = b.String()
	}
	files["route.yaml"] = product.Service(services, rig.ServerIP, serverPort) + product.PlainRoute(services)
	return files
}

func sluiceL4(services int) func(context.Context, *Lab) (*target, error) {
	return func(ctx context.Context, l *Lab) (*target, error) {
		c, err := l.sluice(ctx, services)
		return &target{c, product.VIP(services / 2), 80}, err
	}
}

func sluiceL7(ctx context.Context, l *Lab) (*target, error) {
	c, err := l.sluice(ctx, 10000)
	return &target{c, product.VIP(10000), 80}, err
}

// sluiceBypass is traffic that Sluice must leave alone: a client in the mesh
// that dials a pod's address.
func sluiceBypass(ctx context.Context, l *Lab) (*target, error) {
	c, err := l.sluice(ctx, 10000)
	return &target{c, rig.ServerIP, serverPort}, err
}

func itoa(n int) string { return strconv.Itoa(n) }
