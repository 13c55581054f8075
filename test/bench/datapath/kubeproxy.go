package datapath

import (
	"fmt"
	"strings"

	"sluice.io/sluice/test/bench/product"
	"sluice.io/sluice/test/bench/rig"
)

// podRange is the cluster's pod network: traffic from it isn't masqueraded.
const podRange = "10.77.0.0/16"

// iptablesRules are what kube-proxy's iptables mode has for so many services of
// one endpoint each: a list of services, and for each a chain and a chain of
// its endpoint.
func iptablesRules(services int) []string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("*filter")
	line(":KUBE-FORWARD - [0:0]")
	line("-A FORWARD -m comment --comment \"kubernetes forwarding rules\" -j KUBE-FORWARD")
	line("-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP")
	line("-A KUBE-FORWARD -m comment --comment \"kubernetes forwarding rules\" -m mark --mark 0x4000/0x4000 -j ACCEPT")
	line("-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT")
	line("COMMIT")
	line("*nat")
	for _, chain := range []string{"KUBE-SERVICES", "KUBE-POSTROUTING", "KUBE-MARK-MASQ"} {
		line(":%s - [0:0]", chain)
	}
	for i := range services {
		line(":KUBE-SVC-%012d - [0:0]", i)
		line(":KUBE-SEP-%012d - [0:0]", i)
	}
	line("-A PREROUTING -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES")
	line("-A OUTPUT -m comment --comment \"kubernetes service portals\" -j KUBE-SERVICES")
	line("-A POSTROUTING -m comment --comment \"kubernetes postrouting rules\" -j KUBE-POSTROUTING")
	line("-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN")
	line("-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0")
	line("-A KUBE-POSTROUTING -j MASQUERADE --random-fully")
	line("-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000")
	for i := range services {
		vip, comment := product.VIP(i), "bench/"+product.ServiceName(i)+":http"
		line("-A KUBE-SERVICES -d %s/32 -p tcp -m comment --comment \"%s cluster IP\" -m tcp --dport 80 -j KUBE-SVC-%012d", vip, comment, i)
		line("-A KUBE-SVC-%012d ! -s %s -d %s/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ", i, podRange, vip)
		line("-A KUBE-SVC-%012d -m comment --comment \"%s\" -j KUBE-SEP-%012d", i, comment, i)
		line("-A KUBE-SEP-%012d -s %s/32 -j KUBE-MARK-MASQ", i, rig.ServerIP)
		line("-A KUBE-SEP-%012d -p tcp -m tcp -j DNAT --to-destination %s:%d", i, rig.ServerIP, serverPort)
	}
	line("COMMIT")
	return []string{b.String()}
}

// transaction is how many services are loaded into nftables at a time: the
// kernel's time for one transaction grows with the square of its size.
const transaction = 500

// nftablesRules are what kube-proxy's nftables mode has for so many services: a
// verdict map from the service to its chain, which picks an endpoint's chain.
func nftablesRules(services int) []string {
	all := []string{`table ip kube-proxy {
map service-ips { type ipv4_addr . inet_proto . inet_service : verdict ; }
map no-endpoint-services { type ipv4_addr . inet_proto . inet_service : verdict ; }
set cluster-ips { type ipv4_addr ; }
chain mark-for-masquerade { meta mark set meta mark or 0x4000 ; }
chain masquerading {
meta mark and 0x4000 == 0 return
meta mark set meta mark xor 0x4000
masquerade fully-random
}
chain services { ip daddr . meta l4proto . th dport vmap @service-ips ; }
chain service-endpoints-check { ip daddr . meta l4proto . th dport vmap @no-endpoint-services ; }
chain cluster-ips-check { ip daddr @cluster-ips reject ; }
chain nat-prerouting { type nat hook prerouting priority dstnat ; jump services ; }
chain nat-output { type nat hook output priority -100 ; jump services ; }
chain nat-postrouting { type nat hook postrouting priority srcnat ; jump masquerading ; }
chain filter-forward { type filter hook forward priority -110 ; ct state new jump service-endpoints-check ; ct state new jump cluster-ips-check ; }
chain filter-output { type filter hook output priority -110 ; ct state new jump service-endpoints-check ; ct state new jump cluster-ips-check ; }
}
`}
	for first := 0; first < services; first += transaction {
		all = append(all, nftablesServices(first, min(first+transaction, services)))
	}
	return all
}

// nftablesServices adds the services from first to before last.
func nftablesServices(first, last int) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("table ip kube-proxy {")
	for i := first; i < last; i++ {
		line("chain endpoint-%d {", i)
		line("ip saddr %s jump mark-for-masquerade", rig.ServerIP)
		line("meta l4proto tcp dnat to %s:%d", rig.ServerIP, serverPort)
		line("}")
		line("chain service-%d {", i)
		line("ip daddr %s tcp dport 80 ip saddr != %s jump mark-for-masquerade", product.VIP(i), podRange)
		line("numgen random mod 1 vmap { 0 : goto endpoint-%d }", i)
		line("}")
	}
	line("}")
	line("add element ip kube-proxy service-ips {")
	for i := first; i < last; i++ {
		line("%s . tcp . 80 : goto service-%d,", product.VIP(i), i)
	}
	line("}")
	line("add element ip kube-proxy cluster-ips {")
	for i := first; i < last; i++ {
		line("%s,", product.VIP(i))
	}
	line("}")
	return b.String()
}
