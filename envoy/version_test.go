package envoy_test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice.io/sluice/envoy"
	"sluice.io/sluice/envoy/envoytest"
)

func TestCheckVersion(t *testing.T) {
	for says, want := range map[string]string{
		"envoy  version: 9e55/1.40.0/Clean/RELEASE/BoringSSL":     "",
		"envoy  version: 9e55/1.40.7/Clean/RELEASE/BoringSSL":     "",
		"envoy  version: 9e55/1.40.1-dev/Clean/RELEASE/BoringSSL": "",
		"envoy  version: 9e55/1.39.9/Clean/RELEASE/BoringSSL":     "needs at least 1.40.0 and less than 1.41.0",
		"envoy  version: 9e55/1.41.0/Clean/RELEASE/BoringSSL":     "needs at least 1.40.0 and less than 1.41.0",
		"hello": "does not tell Envoy's version",
	} {
		path := filepath.Join(t.TempDir(), "envoy")
		if err := os.WriteFile(path, []byte("#!/bin/sh\necho '"+says+"'\n"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := envoy.CheckVersion(context.Background(), path)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", says, err, want)
		}
	}
	if _, err := envoy.CheckVersion(context.Background(), "/nonexistent/envoy"); err == nil || !strings.Contains(err.Error(), "/nonexistent/envoy") {
		t.Errorf("no binary: %v", err)
	}
}

func TestCheckVersionOfTheReal(t *testing.T) {
	if v, err := envoy.CheckVersion(context.Background(), envoytest.Binary(t)); err != nil || v != envoy.MinVersion {
		t.Errorf("%s %v", v, err)
	}
}
