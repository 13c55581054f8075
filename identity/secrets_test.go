package identity_test

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
)

// TestKeysAreShownNowhere prints and logs all there is in every way.
func TestKeysAreShownNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		ca := identitytest.NewIssuer(t, "ca")
		id := identitytest.ID(t, "shop", "cart")
		log := slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
		n := start(t, identity.Options{Authority: ca, Log: log})
		n.Trust(identitytest.Bundle(t, issuers(ca)))
		n.Want(id)
		after(30 * time.Hour)
		svid := n.SVID(id)
		block, _ := pem.Decode(svid.KeyPEM())
		if block == nil || len(block.Bytes) < 100 {
			t.Fatal("there is no key to look for")
		}
		var shown bytes.Buffer
		holder := struct {
			S *identity.SVID
			M map[identity.ID]*identity.SVID
			C identity.Change
		}{svid, map[identity.ID]*identity.SVID{id: svid}, identity.Change{SVIDs: map[identity.ID]*identity.SVID{id: svid}}}
		for _, v := range []any{svid, *svid, holder, &holder, n.Status(), n.Keeper} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
				fmt.Fprintf(&shown, verb+"\n", v)
			}
			if v == any(n.Keeper) {
				continue
			}
			text, err := json.Marshal(v)
			if err != nil {
				t.Error(err)
			}
			shown.Write(text)
		}
		slog.New(slog.NewJSONHandler(&shown, nil)).Info("x", "svid", svid, "value", *svid, "holder", holder, "status", n.Status())
		slog.New(slog.NewTextHandler(&shown, nil)).Info("x", "svid", svid, "value", *svid, "holder", holder, "status", n.Status())
		shown.Write(logged.Bytes())
		key := block.Bytes
		secret := key[36:68] // the number itself (RFC 5915 in PKCS #8)
		for what, form := range map[string]string{
			"the bytes": string(secret), "hexadecimal": hex.EncodeToString(secret), "a list": strings.Trim(fmt.Sprint(secret), "[]"),
			"base64": base64.StdEncoding.EncodeToString(key)[60:100], "PEM": "PRIVATE KEY",
		} {
			if strings.Contains(strings.ToLower(shown.String()), strings.ToLower(form)) {
				t.Errorf("the private key is shown, as %s", what)
			}
		}
		if !strings.Contains(shown.String(), id.String()) || !strings.Contains(shown.String(), svid.Serial) {
			t.Error("not even the identity is shown")
		}
	})
}

// TestMetrics: an operator can be alerted before a certificate expires.
func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca, old := identitytest.NewIssuer(t, "ca"), identitytest.NewIssuer(t, "old")
		cart, till := identitytest.ID(t, "shop", "cart"), identitytest.ID(t, "shop", "till")
		n := start(t, identity.Options{Authority: ca})
		registry := prometheus.NewPedanticRegistry()
		registry.MustRegister(n)
		n.Trust(identitytest.Bundle(t, issuers(ca), old))
		n.Want(cart)
		after(0)
		ca.Instead(nil)
		ca.Changing(nil)
		n.Want(cart, till)
		after(0)
		values := map[string]float64{}
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				name := f.GetName()
				for _, l := range m.GetLabel() {
					name += " " + l.GetValue()
				}
				values[name] = m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
		root := func(i *identitytest.Issuer) string { return identity.FingerprintOf(i.Root).Short() }
		for name, want := range map[string]float64{
			"sluice_identity_not_after_timestamp_seconds " + cart.String():                float64(n.SVID(cart).NotAfter.Unix()),
			"sluice_identity_failures " + till.String():                                   0,
			"sluice_identity_requests_total ok":                                           2,
			"sluice_identity_root_certificates " + root(ca) + " active":                   2,
			"sluice_identity_root_certificates " + root(old) + " retiring":                0,
			"sluice_identity_root_not_after_timestamp_seconds " + root(old) + " retiring": float64(old.Root.NotAfter.Unix()),
		} {
			if got, ok := values[name]; !ok || got != want {
				t.Errorf("%s is %v (%v), want %v", name, got, ok, want)
			}
		}
	})
}
