package translate

import (
	"strconv"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/structpb"

	"sluice.io/sluice/model"
)

const tlsSocket = "envoy.transport_sockets.tls"

// partOf is the key of the endpoint metadata that tells which part of a
// destination an endpoint is of: the parts may differ in TLS.
const partOf = "part"

// tlsOf is how a gateway's connections to a backend are secured: nil for plain
// text.
func (d Destination) tlsOf(k model.BackendKey, backends map[model.BackendKey]*model.Backend) *model.BackendTLS {
	b := backends[k]
	if b == nil || !d.Outlet.Gateway || d.Outlet.Passthrough {
		return nil
	}
	return b.TLS
}

// Usable tells that something may be sent to a destination. One that is not has a
// cluster, but no endpoints.
func Usable(d Destination, backends map[model.BackendKey]*model.Backend) bool {
	if len(d.Parts) != 1 {
		return true
	}
	t := d.tlsOf(d.Parts[0].Backend, backends)
	return t == nil || t.Invalid == ""
}

// secure sets how connections to the destination are secured. When several
// backends share sessions, each endpoint gets what its own backend asks for.
func secure(c *clusterv3.Cluster, d Destination, backends map[model.BackendKey]*model.Backend, o Options) {
	if len(d.Parts) == 1 {
		if t := d.tlsOf(d.Parts[0].Backend, backends); t != nil {
			c.TransportSocket = clientTLS(t, d.Outlet, o)
		}
		return
	}
	for i, p := range d.Parts {
		t := d.tlsOf(p.Backend, backends)
		if t == nil {
			continue
		}
		c.TransportSocketMatches = append(c.TransportSocketMatches, &clusterv3.Cluster_TransportSocketMatch{
			Name: strconv.Itoa(i) + " " + p.Backend.String(), Match: part(i), TransportSocket: clientTLS(t, d.Outlet, o),
		})
	}
}

// part is the metadata of the endpoints of one part.
func part(i int) *structpb.Struct {
	return &structpb.Struct{Fields: map[string]*structpb.Value{partOf: structpb.NewStringValue(strconv.Itoa(i))}}
}

// ClusterSecrets are the secrets that a destination's cluster asks for.
func ClusterSecrets(d Destination, backends map[model.BackendKey]*model.Backend) []SecretSource {
	var out []SecretSource
	for _, p := range d.Parts {
		t := d.tlsOf(p.Backend, backends)
		if t == nil || t.Invalid != "" {
			continue
		}
		if d.Outlet.Certificate.Name != "" {
			out = append(out, ofKeyPair(d.Outlet.Certificate))
		}
		if len(t.Bundles) > 0 {
			out = append(out, ofBundles(t.Bundles))
		}
	}
	return out
}

// clientTLS is TLS towards a backend. What cannot be followed gets a TLS that no
// certificate satisfies: never plain text.
func clientTLS(t *model.BackendTLS, out Outlet, o Options) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{}
	expect := &tlsv3.CertificateValidationContext{}
	if t.Invalid == "" && out.Certificate.Name != "" {
		common.TlsCertificateSdsSecretConfigs = []*tlsv3.SdsSecretConfig{ofKeyPair(out.Certificate).bySDS()}
	}
	if t.Invalid == "" {
		expect.MatchTypedSubjectAltNames = subjects(t)
	}
	switch {
	case t.Invalid != "" || len(t.Bundles) == 0 && !t.System:
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: nobody}
	case len(t.Bundles) > 0:
		common.ValidationContextType = verifiedBy(expect, ofBundles(t.Bundles))
	default:
		expect.TrustedCa = &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: o.authorities()}}
		common.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: expect}
	}
	return &corev3.TransportSocket{Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{
		TypedConfig: typed(&tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: t.ServerName}),
	}}
}

// verifiedBy asks for certificates that a bundle vouches for.
func verifiedBy(expect *tlsv3.CertificateValidationContext, s SecretSource) *tlsv3.CommonTlsContext_CombinedValidationContext {
	return &tlsv3.CommonTlsContext_CombinedValidationContext{
		CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: expect, ValidationContextSdsSecretConfig: s.bySDS(),
		},
	}
}

// nobody is a demand that no certificate meets.
var nobody = &tlsv3.CertificateValidationContext{
	VerifyCertificateHash: []string{"0000000000000000000000000000000000000000000000000000000000000000"},
}

// subjects are the names of which a backend's certificate must have one.
func subjects(t *model.BackendTLS) []*tlsv3.SubjectAltNameMatcher {
	names := t.Names
	if len(names) == 0 {
		names = []model.SubjectName{{Value: t.ServerName}}
	}
	var out []*tlsv3.SubjectAltNameMatcher
	for _, n := range names {
		kind := tlsv3.SubjectAltNameMatcher_DNS
		if n.URI {
			kind = tlsv3.SubjectAltNameMatcher_URI
		}
		out = append(out, &tlsv3.SubjectAltNameMatcher{SanType: kind, Matcher: exactly(n.Value)})
	}
	return out
}
