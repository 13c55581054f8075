package explain

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice.io/sluice/model"
)

// target finds the frontend that is dialled. When there is none, it answers why.
func (e *explainer) target() *model.Frontend {
	if e.to.addr.IsValid() {
		return e.byAddress()
	}
	return e.byName()
}

func (e *explainer) byAddress() *model.Frontend {
	var service *model.Frontend
	for _, f := range e.mesh.Frontends {
		if f.Key.ClientNamespace != "" || !slices.Contains(f.VIPs, e.to.addr) {
			continue
		}
		if f.Key.Port == e.to.port && f.Key.Protocol == e.to.protocol {
			return e.hit(f)
		}
		service = f
	}
	if service != nil {
		e.noPort(service.Key.Namespace, service.Key.Name)
		return nil
	}
	e.leaveAlone(e.stranger(e.to.addr))
	return nil
}

// stranger says what an address that no service has is.
func (e *explainer) stranger(a netip.Addr) string {
	var backends []string
	for k, eps := range e.mesh.Endpoints {
		if slices.ContainsFunc(eps.Endpoints, func(ep model.Endpoint) bool { return ep.Addr.Addr() == a }) {
			backends = append(backends, fmt.Sprintf("%s/%s", k.Namespace, k.Name))
		}
	}
	slices.Sort(backends)
	backends = slices.Compact(backends)
	if len(backends) > 0 {
		return fmt.Sprintf("%s is the address of an endpoint (of Service %s), dialled directly: routes apply to services' own addresses only", a, strings.Join(backends, ", "))
	}
	for k, w := range e.mesh.Workloads {
		if slices.Contains(w.Addresses, a) {
			return fmt.Sprintf("%s is the address of workload %s, dialled directly: routes apply to services' own addresses only", a, k)
		}
	}
	return fmt.Sprintf("%s is no address of a service", a)
}

func (e *explainer) byName() *model.Frontend {
	namespace, name, ok := serviceName(e.to.host, e.query.From.Namespace)
	if !ok {
		e.unknown(fmt.Sprintf("%s is no service's name", e.to.host))
		return nil
	}
	key := model.FrontendKey{Namespace: namespace, Name: name, Port: e.to.port, Protocol: e.to.protocol}
	if f := e.mesh.Frontends[key]; f != nil {
		return e.hit(f)
	}
	if e.hasFrontend(namespace, name) {
		e.noPort(namespace, name)
		return nil
	}
	for k := range e.mesh.Backends {
		if k.Namespace == namespace && k.Name == name {
			e.leaveAlone(fmt.Sprintf("Service %s/%s has no cluster address (it is headless, say): clients dial its endpoints", namespace, name))
			return nil
		}
	}
	e.unknown(fmt.Sprintf("%s would be Service %s/%s, which does not exist", e.to.host, namespace, name))
	return nil
}

// serviceName reads the forms of a service's name that cluster DNS answers to.
func serviceName(host, local string) (namespace, name string, ok bool) {
	host = strings.TrimSuffix(host, ".cluster.local")
	host = strings.TrimSuffix(host, ".svc")
	parts := strings.Split(host, ".")
	switch len(parts) {
	case 1:
		return local, parts[0], parts[0] != ""
	case 2:
		return parts[1], parts[0], parts[0] != "" && parts[1] != ""
	}
	return "", "", false
}

// hit returns the frontend for the client's namespace, if there is a special one.
func (e *explainer) hit(f *model.Frontend) *model.Frontend {
	k := f.Key
	k.ClientNamespace = e.query.From.Namespace
	if own := e.mesh.Frontends[k]; own != nil {
		f = own
	}
	t := &Target{Frontend: f.Key, PortName: f.PortName, AppProtocol: f.AppProtocol, Origin: f.Origin}
	for _, v := range f.VIPs {
		t.VIPs = append(t.VIPs, v.String())
	}
	e.answer.Target = t
	return f
}

func (e *explainer) hasFrontend(namespace, name string) bool {
	for k := range e.mesh.Frontends {
		if k.Namespace == namespace && k.Name == name {
			return true
		}
	}
	return false
}

// noPort answers that a service lacks the port.
func (e *explainer) noPort(namespace, name string) {
	var ports []string
	for k := range e.mesh.Frontends {
		if k.Namespace == namespace && k.Name == name && k.ClientNamespace == "" {
			ports = append(ports, fmt.Sprintf("%d/%s", k.Port, strings.ToLower(string(k.Protocol))))
		}
	}
	slices.Sort(ports)
	e.leaveAlone(fmt.Sprintf("Service %s/%s has no port %d/%s: it has %s", namespace, name,
		e.to.port, strings.ToLower(string(e.to.protocol)), strings.Join(ports, ", ")))
}

// unknown answers that the host is not known, with names like it.
func (e *explainer) unknown(why string) {
	var names []string
	for k := range e.mesh.Backends {
		if k.Name == e.to.host {
			e.note("There is a Service %s in namespace %s: dial %s.%s.", k.Name, k.Namespace, k.Name, k.Namespace)
		}
		names = append(names, k.Name+"."+k.Namespace)
		if k.Namespace == e.query.From.Namespace {
			names = append(names, k.Name)
		}
	}
	e.leaveAlone(why)
	if s := suggest(e.to.host, names); s != "" {
		e.note("%s", strings.TrimSpace(s))
	}
}
