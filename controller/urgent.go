package controller

import "sluice.io/sluice/model"

// urgent tells whether traffic may wait for an object: a Gateway's address, the
// ports of its Service, and which node answers for a pool's. Thousands of statuses
// of routes, which only tell, must not hold these up.
func urgent(ref model.ObjectRef) bool {
	switch ref.Kind {
	case kindGatewayClass, kindGateway, kindListenerSet, kindService, kindAddressPool:
		return true
	}
	return false
}
