package translate

import "sluice.io/sluice/model"

// Outlet tells how the connections to a destination are made, beyond what its
// backends say. The zero value is the mesh's: from the client's own network
// namespace, in plain text.
type Outlet struct {
	// Gateway makes connections from the node's own network namespace, in TLS
	// when the backend's policy asks for it.
	Gateway bool
	// Certificate is the key pair that a gateway shows to backends with TLS.
	Certificate model.ObjectRef
	// Passthrough leaves what clients send as it is: it is TLS already.
	Passthrough bool
	// HTTP2 is what gRPC calls need, whatever the backend declares.
	HTTP2 bool
}

// name tells destinations of gateways from those of the mesh.
func (o Outlet) name(of string) string {
	if !o.Gateway {
		return of
	}
	of += "/gateway"
	if o.Passthrough {
		of += "/passthrough"
	}
	if o.HTTP2 {
		of += "/h2"
	}
	if o.Certificate.Name != "" {
		of += "/" + KeyPairName(o.Certificate)
	}
	return of
}

// through is the destination by way of an outlet.
func (d Destination) through(o Outlet) Destination {
	d.Name, d.Outlet = o.name(d.Name), o
	return d
}
