package build

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice.io/sluice/test/cluster/oci"
)

// PauseImage is what nodes run as the first process of each pod.
const PauseImage = "registry.k8s.io/pause:3.10.1"

// gatewayImages are the images that the conformance suite names. Its manifests
// say which versions; they are looked up by these full names and never pulled.
const gatewayImages = "registry.k8s.io/gateway-api/"

// Images lists the images that a cluster can start with.
func Images() []string { return []string{"pause", "echo-basic", "echo-advanced", "coredns"} }

// Image returns the archive of an image.
func (c *Cache) Image(ctx context.Context, name string) (string, error) {
	r := recipe{name: "image-" + name, version: "v1"}
	var contents func(ctx context.Context, out string) (oci.Image, error)
	switch name {
	case "pause":
		contents, r.sources = c.pause, []string{"pause", "oci"}
	case "echo-basic":
		contents, r.sources, r.cost = c.echoBasic, []string{"images/echo-basic", "oci"}, ": once, a minute"
	case "echo-advanced":
		contents, r.sources, r.cost = c.echoAdvanced, []string{"images/echo-advanced", "oci"}, ": once, some five minutes"
	case "coredns":
		bin, err := c.CoreDNS(ctx)
		if err != nil {
			return "", err
		}
		contents, r.sources = c.coreDNSImage(bin), []string{"images/coredns", "oci"}
	default:
		return "", fmt.Errorf("there is no image %q: have %s", name, strings.Join(Images(), ", "))
	}
	file := name + ".oci.tar"
	r.make = func(ctx context.Context, out string) error {
		im, err := contents(ctx, out)
		if err != nil {
			return err
		}
		if err := im.WriteFile(filepath.Join(out, file)); err != nil {
			return err
		}
		return removeOthers(out, file)
	}
	dir, err := c.get(ctx, r)
	return filepath.Join(dir, file), err
}

// removeOthers removes the programs that the image was made of.
func removeOthers(dir, file string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Name() != file {
			if err := os.RemoveAll(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *Cache) pause(ctx context.Context, out string) (oci.Image, error) {
	bin := filepath.Join(out, "pause")
	return oci.Image{
		Names:      []string{PauseImage},
		Files:      []oci.File{{Path: "/pause", Source: bin}},
		Entrypoint: []string{"/pause"},
		User:       "65535:65535",
	}, c.goBuild(ctx, "pause", ".", bin, "-ldflags", "-s -w")
}

func (c *Cache) echoBasic(ctx context.Context, out string) (oci.Image, error) {
	bin := filepath.Join(out, "echo-basic")
	return oci.Image{
		Names: []string{
			gatewayImages + "echo-basic:v1.5.1",
			gatewayImages + "echo-basic:v1.6.0-dev.2",
			gatewayImages + "echo-basic:v1.6.0-dev.3",
		},
		Files:      []oci.File{{Path: "/echo-basic", Source: bin}},
		Entrypoint: []string{"/echo-basic"},
		User:       "65532",
	}, c.goBuild(ctx, "images/echo-basic", "sigs.k8s.io/gateway-api/conformance/echo-basic", bin, "-ldflags", "-s -w")
}

// echoAdvanced is the mesh tests' server and client, which is Istio's.
func (c *Cache) echoAdvanced(ctx context.Context, out string) (oci.Image, error) {
	im := oci.Image{
		Names:      []string{gatewayImages + "echo-advanced:v1.5.1"},
		Entrypoint: []string{"/usr/local/bin/server"},
		User:       "1338",
	}
	for _, name := range []string{"client", "server"} {
		bin := filepath.Join(out, name)
		if err := c.goBuild(ctx, "images/echo-advanced", "istio.io/istio/pkg/test/echo/cmd/"+name, bin, "-ldflags", "-s -w"); err != nil {
			return im, err
		}
		im.Files = append(im.Files, oci.File{Path: "/usr/local/bin/" + name, Source: bin})
	}
	// The suite's manifests start the server with these files, which the upstream image has.
	crt, key, err := SelfSigned("echo")
	im.Files = append(im.Files,
		oci.File{Path: "/cert.crt", Data: crt, Mode: 0o644},
		oci.File{Path: "/cert.key", Data: key, Mode: 0o644})
	return im, err
}

func (c *Cache) coreDNSImage(bin string) func(context.Context, string) (oci.Image, error) {
	return func(context.Context, string) (oci.Image, error) {
		version, err := c.moduleVersion("images/coredns", "github.com/coredns/coredns")
		return oci.Image{
			Names:      []string{"registry.k8s.io/coredns/coredns:" + version},
			Files:      []oci.File{{Path: "/coredns", Source: bin}},
			Entrypoint: []string{"/coredns"},
		}, err
	}
}

// SelfSigned makes a certificate for a DNS name.
func SelfSigned(name string) (crt, key []byte, err error) {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, k.Public(), k)
	if err != nil {
		return nil, nil, err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(k)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), err
}
