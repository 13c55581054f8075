package trust

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sluice.io/sluice/identity"
)

// The names of the ConfigMaps: the operator's, and the one that is published.
const (
	SourceName = "sluice-trust"
	BundleName = "sluice-trust-bundle"
)

// The keys in both, and one that only the operator's has: fingerprints, SHA-256
// in hexadecimal, one on a line.
const (
	keyRoots      = "roots.pem"
	keyRetiring   = "retiring.pem"
	keyDistrusted = "distrusted"
)

// retiredSince is the annotation that keeps [Published.Retired].
const retiredSince = "sluice.io/retired-since"

// ReadWish reads the operator's ConfigMap.
func ReadWish(data map[string]string) (Wish, error) {
	if data[keyRoots] == "" {
		return Wish{}, fmt.Errorf("key %s is missing: put the root certificates of the issuer there, as PEM", keyRoots)
	}
	b, err := identity.ParseBundle([]byte(data[keyRoots]), []byte(data[keyRetiring]))
	if err != nil {
		return Wish{}, err
	}
	w := Wish{Bundle: b}
	for line := range strings.Lines(data[keyDistrusted]) {
		f, err := readFingerprint(line)
		if err != nil {
			return Wish{}, err
		}
		if f != "" {
			w.Distrusted = append(w.Distrusted, f)
		}
	}
	return w, nil
}

// readFingerprint reads a line, which may be as openssl prints it, or empty.
func readFingerprint(line string) (identity.Fingerprint, error) {
	s := strings.ToLower(strings.ReplaceAll(strings.TrimSpace(line), ":", ""))
	if s == "" {
		return "", nil
	}
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return "", fmt.Errorf("%s: %q is no SHA-256 fingerprint, which has 64 hexadecimal digits", keyDistrusted, strings.TrimSpace(line))
	}
	return identity.Fingerprint(s), nil
}

// Read reads the published ConfigMap.
func Read(data, annotations map[string]string) (Published, error) {
	if data[keyRoots] == "" {
		return Published{}, errors.New("the published trust bundle is empty")
	}
	b, err := identity.ParseBundle([]byte(data[keyRoots]), []byte(data[keyRetiring]))
	if err != nil {
		return Published{}, err
	}
	p := Published{Bundle: b, Retired: map[identity.Fingerprint]time.Time{}}
	if text := annotations[retiredSince]; text != "" {
		if err := json.Unmarshal([]byte(text), &p.Retired); err != nil {
			return Published{}, fmt.Errorf("annotation %s: %w", retiredSince, err)
		}
	}
	return p, nil
}

// Write is the published ConfigMap's content.
func (p Published) Write() (data, annotations map[string]string, err error) {
	data = map[string]string{keyRoots: string(p.Bundle.ActivePEM())}
	if old := p.Bundle.RetiringPEM(); len(old) > 0 {
		data[keyRetiring] = string(old)
	}
	if len(p.Retired) == 0 {
		return data, nil, nil
	}
	text, err := json.Marshal(p.Retired)
	if err != nil {
		return nil, nil, err
	}
	return data, map[string]string{retiredSince: string(text)}, nil
}
