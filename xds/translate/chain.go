package translate

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sluice.io/sluice/model"
)

// chain is what becomes of the connections that a gateway's chain takes.
func chain(p *model.GatewayPort, c model.Chain) *listenerv3.FilterChain {
	fc := &listenerv3.FilterChain{
		Name:             c.Name,
		FilterChainMatch: &listenerv3.FilterChainMatch{ServerNames: c.ServerNames, TransportProtocol: "raw_buffer"},
	}
	if c.TLS != nil {
		fc.FilterChainMatch.TransportProtocol = "tls"
		if !c.TLS.Passthrough {
			fc.TransportSocket = serverTLS(c)
		}
	}
	switch {
	case c.HTTP:
		fc.Filters = []*listenerv3.Filter{gatewayHTTP(p, c)}
	case c.L4 != nil:
		fc.Filters = []*listenerv3.Filter{bytes(p, c)}
	default:
		fc.Filters = []*listenerv3.Filter{refuse}
	}
	return fc
}

// serverTLS ends TLS. Which of several certificates a client gets is up to the
// name that it asks for, and to the kinds of keys that it knows.
func serverTLS(c model.Chain) *corev3.TransportSocket {
	common := &tlsv3.CommonTlsContext{}
	for _, ref := range c.TLS.Certificates {
		common.TlsCertificateSdsSecretConfigs = append(common.TlsCertificateSdsSecretConfigs, ofKeyPair(ref).bySDS())
	}
	if c.HTTP {
		common.AlpnProtocols = []string{"h2", "http/1.1"}
	}
	t := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if v := c.TLS.Client; v != nil {
		expect := &tlsv3.CertificateValidationContext{}
		if v.Optional { // whatever is wrong with it
			expect.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
		}
		t.RequireClientCertificate = wrapperspb.Bool(!v.Optional)
		common.ValidationContextType = verifiedBy(expect, ofBundles(v.Bundles))
	}
	return &corev3.TransportSocket{Name: tlsSocket, ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(t)}}
}

// PortSecrets are the secrets that the listeners of a gateway's port ask for.
func PortSecrets(p *model.GatewayPort) []SecretSource {
	var out []SecretSource
	for _, c := range p.Chains {
		if c.TLS == nil {
			continue
		}
		for _, ref := range c.TLS.Certificates {
			out = append(out, ofKeyPair(ref))
		}
		if c.TLS.Client != nil {
			out = append(out, ofBundles(c.TLS.Client.Bundles))
		}
	}
	return out
}
