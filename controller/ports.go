package controller

import (
	"errors"
	"hash/fnv"
	"strconv"

	"sluice.io/sluice/model"
)

// The ports at which load balancers dial the nodes. They lie below what Linux
// gives to outgoing connections, and below NodePorts.
const (
	firstTarget = 20000
	lastTarget  = 29999
)

var errNoPort = errors.New("all ports of the nodes for load balancers, 20000 to 29999, are in use: there are too many Gateways")

// ports gives each port of each Gateway a port of the nodes that nobody else
// has. What Services have already stays.
type ports struct {
	of   map[model.GatewayKey]map[model.PortKey]uint16
	user map[uint16]model.PortKey
}

func newPorts() *ports {
	return &ports{of: map[model.GatewayKey]map[model.PortKey]uint16{}, user: map[uint16]model.PortKey{}}
}

// learn notes what a Service has. It tells whether that can stay.
func (p *ports) learn(k model.PortKey, target uint16) bool {
	if target < firstTarget || target > lastTarget {
		return false
	}
	if has, ok := p.of[k.Gateway][k]; ok {
		return has == target
	}
	if _, taken := p.user[target]; taken {
		return false
	}
	p.set(k, target)
	return true
}

func (p *ports) set(k model.PortKey, target uint16) {
	if p.of[k.Gateway] == nil {
		p.of[k.Gateway] = map[model.PortKey]uint16{}
	}
	p.of[k.Gateway][k], p.user[target] = target, k
}

// get returns a port's target, which stays as long as it is not released. Which
// one it is follows from the name as long as that is free: so it is likely to be
// the same even when the Service was removed.
func (p *ports) get(k model.PortKey) (uint16, error) {
	if t, ok := p.of[k.Gateway][k]; ok {
		return t, nil
	}
	h := fnv.New32a()
	_, _ = h.Write([]byte(k.Gateway.String() + "\x00" + strconv.Itoa(int(k.Port)) + string(k.Protocol)))
	const all = lastTarget - firstTarget + 1
	start := h.Sum32() % all
	for i := range uint32(all) {
		t := uint16(firstTarget + (start+i)%all)
		if _, taken := p.user[t]; !taken {
			p.set(k, t)
			return t, nil
		}
	}
	return 0, errNoPort
}

// release gives back the targets of a Gateway but those to keep.
func (p *ports) release(gw model.GatewayKey, keep map[model.PortKey]bool) {
	for k, t := range p.of[gw] {
		if !keep[k] {
			delete(p.of[gw], k)
			delete(p.user, t)
		}
	}
	if len(p.of[gw]) == 0 {
		delete(p.of, gw)
	}
}
