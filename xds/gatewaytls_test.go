package xds_test

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

// TestGatewayTLS: what a client asks for picks the chain and the certificate; of
// several certificates the one that it can verify.
func TestGatewayTLS(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca := newAuthority(t, "ca")
	exact := ca.keyPair(d, "exact", false, "a.example.com")
	wild := ca.keyPair(d, "wild", false, "*.example.com")
	wildRSA := ca.keyPair(d, "wild-rsa", true, "*.example.net")
	rest := ca.keyPair(d, "rest", false, "rest.org")
	gateway(d, 443, []string{"203.0.113.1"},
		tlsChain("exact", []string{"a.example.com"}, exact),
		tlsChain("wild", []string{"*.example.com", "*.example.net"}, wild, wildRSA),
		tlsChain("rest", nil, rest), webChain())
	for _, c := range []string{"exact", "wild", "rest", "web"} {
		domain(d, 443, c, "*", filter(to("/", weighted("one", 1)), model.HTTPFilter{
			ResponseHeaders: &model.HeaderModifier{Set: []model.Header{{Name: "Chain", Value: c}}}}))
	}
	domain(d, 443, "exact", "b.example.com").Misdirected = true
	e.start(t, d)
	client := visitor{from: e.client, to: "203.0.113.1:443"}
	for _, c := range []struct {
		sni, host, chain string
		h2, rsa          bool
		status           int
	}{
		{"a.example.com", "", "exact", true, false, 200}, {"a.example.com", "", "exact", false, false, 200},
		{"b.example.com", "", "wild", true, false, 200}, {"x.b.example.com", "", "wild", false, false, 200},
		{"b.example.net", "", "wild", true, true, 200},
		{"rest.org", "", "rest", true, false, 200}, {"other.org", "", "rest", false, false, 200},
		{"a.example.com", "b.example.com", "", true, false, 421}, {"", "any.org", "web", false, false, 200},
	} {
		v, scheme := client, "https://"
		var shown *x509.Certificate
		if v.h2 = c.h2; c.sni == "" {
			scheme = "http://"
		} else {
			v.tls = &tls.Config{ServerName: c.sni, InsecureSkipVerify: true, VerifyPeerCertificate: func(raw [][]byte, _ [][]*x509.Certificate) (err error) {
				shown, err = x509.ParseCertificate(raw[0])
				return err
			}}
		}
		host := c.sni
		if c.host != "" {
			host = c.host
		}
		resp, body, err := v.ask(scheme + host + "/")
		if err != nil {
			t.Errorf("%+v: %v", c, err)
			continue
		}
		if resp.StatusCode != c.status || resp.Header.Get("Chain") != c.chain || (resp.ProtoMajor == 2) != c.h2 {
			t.Errorf("%+v: %s %s by chain %q", c, resp.Proto, resp.Status, resp.Header.Get("Chain"))
		}
		if c.status == 200 && !strings.Contains(body, "X-Forwarded-Proto: "+strings.TrimSuffix(scheme, "://")+"\n") {
			t.Errorf("%+v: the backend was not told the scheme: %s", c, body)
		}
		if c.sni == "" {
			continue
		}
		if (shown.PublicKeyAlgorithm == x509.RSA) != c.rsa {
			t.Errorf("%+v: %s", c, shown.PublicKeyAlgorithm)
		}
		if err := shown.VerifyHostname(c.sni); err != nil && c.sni != "other.org" && c.sni != "x.b.example.com" {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// TestClientCertificates: who asks for a client's certificate lets nobody in
// without a valid one; or everybody, where it is optional.
func TestClientCertificates(t *testing.T) {
	e, d := newEdge(t), model.NewDelta()
	ca, one, two, stranger := newAuthority(t, "ca"), newAuthority(t, "one"), newAuthority(t, "two"), newAuthority(t, "stranger")
	cert := ca.keyPair(d, "edge", false, "a.example.com")
	must := tlsChain("must", []string{"must.example.com"}, cert)
	must.TLS.Client = &model.ClientValidation{Bundles: []model.ObjectRef{bundle(d, "one", one), bundle(d, "two", two)}}
	may := tlsChain("may", []string{"may.example.com"}, cert)
	may.TLS.Client = &model.ClientValidation{Bundles: []model.ObjectRef{bundle(d, "one", one)}, Optional: true}
	gateway(d, 443, []string{"203.0.113.1"}, must, may)
	domain(d, 443, "must", "*", to("/", weighted("one", 1)))
	domain(d, 443, "may", "*", to("/", weighted("one", 1)))
	e.start(t, d)
	for _, c := range []struct {
		sni  string
		by   *authority
		want bool
	}{
		{"must", nil, false}, {"must", one, true}, {"must", two, true}, {"must", stranger, false},
		{"may", nil, true}, {"may", one, true}, {"may", two, true}, {"may", stranger, true},
	} {
		conf := &tls.Config{ServerName: c.sni + ".example.com", InsecureSkipVerify: true}
		if c.by != nil {
			pair := c.by.pair("client")
			conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		resp, _, err := visitor{from: e.client, to: "203.0.113.1:443", tls: conf}.ask("https://x/", func(r *http.Request) { r.Header.Set("X-Forwarded-Client-Cert", "By=forged") })
		if ok := err == nil && resp.StatusCode == 200; ok != c.want {
			t.Errorf("%s with a certificate of %+v: %v %v", c.sni, c.by, resp, err)
		}
	}
}
