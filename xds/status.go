package xds

import (
	"cmp"
	"slices"

	"sluice.io/sluice/model"
	"sluice.io/sluice/xds/translate"
)

// Status is what a server knows of the Envoys that it serves.
type Status struct {
	// Connected tells that at least one Envoy has a stream open.
	Connected bool `json:"connected"`
	// Version is the version of the Envoy that connected last.
	Version string `json:"version,omitempty"`
	// Synced tells that every connected Envoy has all that it asks for.
	Synced bool `json:"synced"`
	// Resources counts resources by kind: clusters, endpoints, secrets, listeners,
	// scopes, routes.
	Resources map[string]int `json:"resources"`
	// Sent counts, by kind, the resources that were sent or removed since this
	// server was made.
	Sent map[string]uint64 `json:"sent"`
	// Rejected are the resources that Envoy does not take, or that could not even
	// be encoded for it.
	Rejected []Rejection `json:"rejected,omitempty"`
}

// Rejection is a resource that Envoy does not take.
type Rejection struct {
	Kind   string       `json:"kind"`
	Name   string       `json:"name"`
	Origin model.Origin `json:"origin"`
	// Message is Envoy's own, or the encoder's.
	Message string `json:"message"`
	// LastGood tells that Envoy goes on with an earlier version.
	LastGood bool `json:"lastGood,omitempty"`
}

// Gateway is what of a gateway's Envoy rejects; false when the resource is none of
// one gateway's, such as a cluster.
func (r Rejection) Gateway() (model.Rejected, bool) {
	switch r.Kind {
	case listeners.String():
		door, ok := translate.ParseDoor(r.Name)
		if o := r.Origin.Object; ok && o.Kind == "Gateway" {
			k := model.PortKey{Gateway: model.GatewayKey{Namespace: o.Namespace, Name: o.Name}, Port: door.Addr.Port(), Protocol: door.Protocol}
			return model.Rejected{Port: k, At: door.Addr, Message: r.Message}, true
		}
	case scopes.String(), routes.String():
		if k, host, ok := translate.ParseScope(r.Name); ok {
			return model.Rejected{Port: k.Port, Host: host, Message: r.Message}, true
		}
	}
	return model.Rejected{}, false
}

// Status tells the state of the connection to Envoy.
func (s *Server) Status() Status {
	st := s.store
	st.mu.Lock()
	defer st.mu.Unlock()
	out := Status{Connected: len(st.streams) > 0, Resources: map[string]int{}, Sent: map[string]uint64{}}
	for k := range kinds {
		out.Resources[k.String()], out.Sent[k.String()] = len(st.held[k]), st.sent[k]
	}
	out.Synced = out.Connected && st.open[routes]
	var newest int64 = -1
	for id, str := range st.streams {
		if id > newest && str.build != "" {
			newest, out.Version = id, str.build
		}
		for k := range kinds {
			t := &str.types[k]
			out.Synced = out.Synced && t.idle() && (t.begun || !k.always())
			for name, r := range t.rejected {
				out.Rejected = append(out.Rejected, Rejection{k.String(), name, st.origin(k, name), r.message, t.has[name] != ""})
			}
		}
	}
	for at, r := range st.unfit {
		r.LastGood = st.held[at.kind][at.name] != nil
		out.Rejected = append(out.Rejected, r)
	}
	sortRejections(out)
	return out
}

func sortRejections(s Status) {
	slices.SortFunc(s.Rejected, compareRejections)
}

func compareRejections(a, b Rejection) int {
	return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name), cmp.Compare(a.Message, b.Message))
}
