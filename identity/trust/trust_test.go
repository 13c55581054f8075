package trust_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/identitytest"
	"sluice.io/sluice/identity/trust"
)

const overlap = 25 * time.Hour

func issuers(all ...*identitytest.Issuer) []*identitytest.Issuer { return all }

// bundle says which authorities are trusted, by their names: retiring ones in
// brackets.
func bundle(b *identity.Bundle) string {
	var all []string
	for _, r := range b.Roots() {
		name := r.Certificate.Subject.CommonName
		if r.Retiring {
			name = "(" + name + ")"
		}
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// TestNext tells the story of a cluster's authorities.
func TestNext(t *testing.T) {
	a, b, c := identitytest.NewIssuer(t, "a"), identitytest.NewIssuer(t, "b"), identitytest.NewIssuer(t, "c")
	wish := func(active []*identitytest.Issuer, retiring ...*identitytest.Issuer) trust.Wish {
		return trust.Wish{Bundle: identitytest.Bundle(t, active, retiring...)}
	}
	start := time.Now()
	var at trust.Published
	for _, step := range []struct {
		what  string
		after time.Duration
		wish  trust.Wish
		want  string
		again time.Duration // after the start; 0 for never
	}{
		{"the first authority", 0, wish(issuers(a)), "a", 0},
		{"nothing new", time.Hour, wish(issuers(a)), "a", 0},
		{"another one in its place: the old one stays for a while", 2 * time.Hour, wish(issuers(b)), "(a) b", 27 * time.Hour},
		{"the same while it lasts", 20 * time.Hour, wish(issuers(b)), "(a) b", 27 * time.Hour},
		{"and is dropped", 27 * time.Hour, wish(issuers(b)), "b", 0},
		{"retiring for as long as it is said", 30 * time.Hour, wish(issuers(c), b), "(b) c", 0},
		{"which may be long", 300 * time.Hour, wish(issuers(c), b), "(b) c", 0},
		{"then it goes as any other", 301 * time.Hour, wish(issuers(c)), "(b) c", 326 * time.Hour},
		{"one that comes back is as it was", 302 * time.Hour, wish(issuers(b, c)), "b c", 0},
		{"and its time starts anew", 310 * time.Hour, wish(issuers(c)), "(b) c", 335 * time.Hour},
		{"distrusted: at once", 311 * time.Hour, trust.Wish{Bundle: identitytest.Bundle(t, issuers(c)), Distrusted: []identity.Fingerprint{identity.FingerprintOf(b.Root)}}, "c", 0},
		{"also when it is among the wishes", 312 * time.Hour, trust.Wish{Bundle: identitytest.Bundle(t, issuers(a, c)), Distrusted: []identity.Fingerprint{identity.FingerprintOf(c.Root)}}, "a", 0},
	} {
		next, again, err := trust.Next(at, step.wish, overlap, start.Add(step.after))
		if err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := bundle(next.Bundle); got != step.want {
			t.Errorf("%s: %s, want %s", step.what, got, step.want)
		}
		if again.IsZero() != (step.again == 0) || step.again != 0 && !again.Equal(start.Add(step.again)) {
			t.Errorf("%s: look again at %s, want after %s", step.what, again.Sub(start), step.again)
		}
		// It survives being written and read, as it does between two leaders.
		data, annotations, err := next.Write()
		if err != nil {
			t.Fatal(err)
		}
		if at, err = trust.Read(data, annotations); err != nil || !at.Equal(next) {
			t.Fatalf("%s: read %+v, %v; want %+v", step.what, at, err, next)
		}
	}
}

// TestNobodyLeft: a wish that would leave nobody who may sign changes nothing.
func TestNobodyLeft(t *testing.T) {
	a, b := identitytest.NewIssuer(t, "a"), identitytest.NewIssuer(t, "b")
	was, _, err := trust.Next(trust.Published{}, trust.Wish{Bundle: identitytest.Bundle(t, issuers(a))}, overlap, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for name, w := range map[string]trust.Wish{
		"all retiring":   {Bundle: identitytest.Bundle(t, nil, b)},
		"all distrusted": {Bundle: identitytest.Bundle(t, issuers(b)), Distrusted: []identity.Fingerprint{identity.FingerprintOf(b.Root)}},
	} {
		if next, _, err := trust.Next(was, w, overlap, time.Now()); err == nil || !next.Equal(was) {
			t.Errorf("%s: %s, %v: want what was, and an error", name, bundle(next.Bundle), err)
		}
	}
}

// TestExpired: an authority that has expired needs no overlap.
func TestExpired(t *testing.T) {
	a, b := identitytest.NewIssuer(t, "a"), identitytest.NewIssuer(t, "b")
	was := trust.Published{Bundle: identitytest.Bundle(t, issuers(a))}
	next, again, err := trust.Next(was, trust.Wish{Bundle: identitytest.Bundle(t, issuers(b))}, overlap, a.Root.NotAfter.Add(time.Hour))
	if err != nil || bundle(next.Bundle) != "b" || !again.IsZero() {
		t.Errorf("%s, %v", bundle(next.Bundle), err)
	}
}

func TestReadWish(t *testing.T) {
	a, b := identitytest.NewIssuer(t, "a"), identitytest.NewIssuer(t, "b")
	pem := func(i *identitytest.Issuer) string { return string(identity.CertificatesToPEM(i.Root)) }
	print := identity.FingerprintOf(b.Root)
	var colons []string // as openssl prints it
	for pair := range slices.Chunk([]byte(strings.ToUpper(string(print))), 2) {
		colons = append(colons, string(pair))
	}
	w, err := trust.ReadWish(map[string]string{"roots.pem": "my own\n" + pem(a), "retiring.pem": pem(b), "distrusted": "\n" + strings.Join(colons, ":") + "\n\n"})
	if err != nil || bundle(w.Bundle) != "(b) a" || !slices.Equal(w.Distrusted, []identity.Fingerprint{print}) {
		t.Errorf("%+v, %v", w, err)
	}
	for name, tc := range map[string]struct {
		data map[string]string
		want string
	}{
		"nothing":           {nil, "roots.pem is missing"},
		"no certificates":   {map[string]string{"roots.pem": "later"}, "empty"},
		"no fingerprint":    {map[string]string{"roots.pem": pem(a), "distrusted": "ab:cd"}, "no SHA-256 fingerprint"},
		"retiring, damaged": {map[string]string{"roots.pem": pem(a), "retiring.pem": pem(b)[:300]}, "retiring authorities"},
	} {
		if _, err := trust.ReadWish(tc.data); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestReadPublished(t *testing.T) {
	a := identitytest.NewIssuer(t, "a")
	data, annotations, err := trust.Published{Bundle: identitytest.Bundle(t, issuers(a))}.Write()
	if err != nil || len(data) != 1 || len(annotations) != 0 {
		t.Fatalf("%v, %v, %v: want one key", slices.Collect(maps.Keys(data)), annotations, err)
	}
	for name, bad := range map[string][2]map[string]string{
		"empty": {}, "damaged": {{"roots.pem": data["roots.pem"][:100]}}, "damaged annotation": {data, {"sluice.io/retired-since": "{"}},
	} {
		if _, err := trust.Read(bad[0], bad[1]); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}
