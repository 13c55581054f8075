package xds_test

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/model"
)

// BenchmarkGateways is what many Gateways, each with an address and a host of its
// own, cost an Envoy; and the time from a changed host of one of them to Envoy's
// first answer by it.
func BenchmarkGateways(b *testing.B) {
	for _, n := range []int{1, 100, 1000} {
		b.Run(fmt.Sprintf("gateways=%d", n), func(b *testing.B) {
			e, d := newEdge(b), model.NewDelta()
			for i := range n {
				k := manyKey(i)
				d.Ports[k] = &model.GatewayPort{
					Key: k, Chains: []model.Chain{webChain()}, Origin: gatewayOrigin,
					Addresses: []netip.Addr{manyAddress(i)}, Target: uint16(20000 + i),
				}
				service(d, fmt.Sprintf("s%d", i), model.AppAuto, at(e.server.v4, 8081))
				manyHost(d, i, 0)
			}
			began := time.Now()
			e.start(b, d)
			cold := time.Since(began)
			memory, err := rss(e.super.Status().PID)
			if err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			e.editMany(b, n)
			b.ReportMetric(cold.Seconds(), "cold-s")
			b.ReportMetric(memory, "envoy-rss-MB")
		})
	}
}

// rss is the memory of a process that is its own, in MB: with what Lua takes past
// Envoy's allocator.
func rss(pid int) (float64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		var kB float64
		if n, _ := fmt.Sscanf(line, "RssAnon: %f kB", &kB); n == 1 {
			return kB * 1024 / 1e6, nil
		}
	}
	return 0, errors.New("no RssAnon in its status")
}

func manyKey(i int) model.PortKey {
	return model.PortKey{Gateway: model.GatewayKey{Namespace: "infra", Name: fmt.Sprintf("g%d", i)}, Port: 80, Protocol: model.TCP}
}

func manyAddress(i int) netip.Addr {
	return netip.AddrFrom16([16]byte{0x20, 1, 0xd, 0xb8, 14: byte(i >> 8), 15: byte(i)})
}

// manyHost is the host of one of many Gateways, whose answers tell its version.
func manyHost(d *model.Delta, i, version int) {
	name := fmt.Sprintf("h.g%d.example.com", i)
	k := model.HostKey{Port: manyKey(i), Chain: "web", Domain: name}
	d.Hosts[k] = &model.Host{Key: k, Origin: route(-1), HTTP: &model.HTTPRouting{Entries: []model.HTTPEntry{
		filter(to("/", weighted(fmt.Sprintf("s%d", i), 1)),
			model.HTTPFilter{ResponseHeaders: &model.HeaderModifier{Set: []model.Header{{Name: "Version", Value: strconv.Itoa(version)}}}}),
	}}}
}

func (e *edge) editMany(b *testing.B, gateways int) {
	var took []time.Duration
	for i := range b.N {
		n, d := i*37%gateways, model.NewDelta()
		manyHost(d, n, i+1)
		v := visitor{from: e.node, to: netip.AddrPortFrom(manyAddress(n), 80).String()}
		c := v.client()
		began := time.Now()
		done := make(chan struct{})
		go func() { e.apply(d); close(done) }()
		for answer := ""; answer != strconv.Itoa(i+1); {
			resp, _, err := v.from.try(c, fmt.Sprintf("http://h.g%d.example.com/", n))
			if err != nil {
				b.Fatal(err)
			}
			answer = resp.Header.Get("Version")
		}
		took = append(took, time.Since(began))
		<-done
		c.CloseIdleConnections()
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
