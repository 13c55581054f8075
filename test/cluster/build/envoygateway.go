package build

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sluice.io/sluice/test/cluster/oci"
)

// envoyGatewayModule is what benchmarks compare with.
const envoyGatewayModule = "github.com/envoyproxy/gateway"

// EnvoyGateway is Envoy Gateway as a cluster of ours can run it: images of its
// module and of our pinned Envoy, its own chart and its own CRDs.
type EnvoyGateway struct {
	Version string
	// Image and EnvoyImage are the images' names, Archives what holds them.
	Image, EnvoyImage string
	Archives          []string
	Chart, CRDs       string
}

// EnvoyGateway builds Envoy Gateway. Its Envoy is the pinned one, so that what is
// compared runs the same data plane.
func (c *Cache) EnvoyGateway(ctx context.Context) (*EnvoyGateway, error) {
	version, err := c.moduleVersion("envoy-gateway", envoyGatewayModule)
	if err != nil {
		return nil, err
	}
	envoy, err := c.envoy()
	if err != nil {
		return nil, err
	}
	files, err := envoyFiles(envoy)
	if err != nil {
		return nil, err
	}
	digest, err := digestOf(files)
	if err != nil {
		return nil, err
	}
	g := &EnvoyGateway{
		Version: version, Image: "sluice.io/test/envoy-gateway:" + version, EnvoyImage: "sluice.io/test/envoy:dev-" + digest[:12],
	}
	control, err := c.get(ctx, recipe{
		name: "envoy-gateway", version: version, sources: []string{"envoy-gateway", "oci"}, cost: ": once, some five minutes",
		make: func(ctx context.Context, out string) error {
			return errors.Join(c.envoyGatewayImage(ctx, g.Image, out), c.envoyGatewayChart(ctx, out))
		},
	})
	if err != nil {
		return nil, err
	}
	proxy, err := c.get(ctx, recipe{
		name: "image-envoy", version: "v1", sources: []string{"oci"}, also: digest,
		make: func(_ context.Context, out string) error {
			im := oci.Image{Names: []string{g.EnvoyImage}, Files: files, Entrypoint: []string{"/usr/local/bin/envoy"}, User: "65532:65532"}
			return im.WriteFile(filepath.Join(out, "envoy.oci.tar"))
		},
	})
	g.Archives = []string{filepath.Join(control, "envoy-gateway.oci.tar"), filepath.Join(proxy, "envoy.oci.tar")}
	g.Chart, g.CRDs = filepath.Join(control, "chart"), filepath.Join(control, "chart", "charts", "crds", "crds", "generated")
	return g, err
}

// envoyFiles are Envoy, with its libraries, for an image of its own.
func envoyFiles(envoy string) ([]oci.File, error) {
	files := []oci.File{{Path: "/usr/local/bin/envoy", Source: envoy}}
	libs, err := libraries(envoy)
	for _, lib := range libs {
		files = append(files, oci.File{Path: lib, Source: lib})
	}
	return files, err
}

func (c *Cache) envoyGatewayImage(ctx context.Context, name, out string) error {
	bin := filepath.Join(out, "envoy-gateway")
	if err := c.goBuild(ctx, "envoy-gateway", envoyGatewayModule+"/cmd/envoy-gateway", bin, "-ldflags", "-s -w"); err != nil {
		return err
	}
	im := oci.Image{
		Names: []string{name}, Files: []oci.File{{Path: "/usr/local/bin/envoy-gateway", Source: bin}},
		Entrypoint: []string{"/usr/local/bin/envoy-gateway"}, User: "65532:65532",
	}
	return errors.Join(im.WriteFile(filepath.Join(out, "envoy-gateway.oci.tar")), os.Remove(bin))
}

// envoyGatewayChart copies the chart out of the module, and completes it as its
// release does: there, the values are a template.
func (c *Cache) envoyGatewayChart(ctx context.Context, out string) error {
	dir, err := c.moduleDir(ctx, "envoy-gateway", envoyGatewayModule)
	if err != nil {
		return err
	}
	chart := filepath.Join(out, "chart")
	if err := os.CopyFS(chart, os.DirFS(filepath.Join(dir, "charts", "gateway-helm"))); err != nil {
		return fmt.Errorf("copy the chart: %w", err)
	}
	values, err := os.ReadFile(filepath.Join(chart, "values.tmpl.yaml"))
	if err != nil {
		return err
	}
	text := strings.NewReplacer("${GatewayImage}", `""`, "${GatewayImagePullPolicy}", "IfNotPresent").Replace(string(values))
	return os.WriteFile(filepath.Join(chart, "values.yaml"), []byte(text), 0o644)
}
