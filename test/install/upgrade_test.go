package install_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"

	"sluice.io/sluice/test/cluster/build"
	"sluice.io/sluice/test/install"
)

// upgrades: another version of everything that the chart installs, and back: the
// image, the chart, a definition, values. A client asks all the time.
func (w *world) upgrades(t *testing.T) {
	next := w.nextRelease(t)
	before := w.owned(t)
	c := w.steady(t, 1, steadyPause)
	w.must(t, next.Install(w.ctx, "--set", "log.level=debug,envoy.concurrency=1,controller.networkPolicy=true"))
	w.must(t, next.Ready(w.ctx, patience))
	if args := w.arguments(t); !strings.Contains(args, "--log-level=debug") || !strings.Contains(args, "--envoy-concurrency=1") {
		t.Errorf("arguments of the upgraded Envoy: %s", args)
	}
	w.runs(t, "sluice-0.2.0", next.Tag)
	w.networkPolicy(t)
	eventually(t, "the definition's new field", func() error { return w.explained("addresspool.spec.comment") })
	w.routeIsServed(t, "after-upgrade")

	first := w.firstRevision(t)
	if _, err := w.release.Helm(w.ctx, "rollback", install.Name, first, "--namespace", install.Namespace); err != nil {
		t.Fatal(err)
	}
	w.must(t, w.release.Ready(w.ctx, patience))
	if args := w.arguments(t); strings.Contains(args, "debug") || strings.Contains(args, "concurrency") {
		t.Errorf("arguments after the rollback: %s", args)
	}
	w.runs(t, "sluice-0.1.0", w.release.Tag)
	w.kubectl(t, "", "-n", install.Namespace, "wait", "networkpolicy/sluice-controller", "--for=delete", "--timeout", patience.String())
	eventually(t, "the definition's new field to go", func() error {
		if err := w.explained("addresspool.spec.comment"); err == nil {
			return fmt.Errorf("it is there")
		}
		return nil
	})
	w.routeIsServed(t, "after-rollback")
	if after := w.owned(t); after != before {
		t.Errorf("the Gateway had\n%s\nand has\n%s", before, after)
	}
	c.expectNoFailure(t)
}

// nextRelease is a later version: another image, chart, and definition.
func (w *world) nextRelease(t *testing.T) *install.Release {
	t.Helper()
	next := *w.release
	next.Tag, next.Chart = "next", filepath.Join(t.TempDir(), "sluice")
	cache, err := build.Open(t.Logf)
	w.must(t, err)
	archive := filepath.Join(t.TempDir(), "next.tar")
	w.must(t, cache.WriteSluice(w.ctx, archive, build.SluiceRepository+":"+next.Tag))
	w.must(t, w.cluster.LoadImage(w.ctx, archive))
	w.must(t, os.CopyFS(next.Chart, os.DirFS(w.release.Chart)))
	edit(t, filepath.Join(next.Chart, "Chart.yaml"), func(chart map[string]any) {
		chart["version"], chart["appVersion"] = "0.2.0", "0.2.0"
	})
	edit(t, filepath.Join(next.Chart, "crds-of-sluice", "sluice.io_addresspools.yaml"), func(crd map[string]any) {
		at := any(crd)
		for _, key := range []string{"spec", "versions", "", "schema", "openAPIV3Schema", "properties", "spec", "properties"} {
			if list, ok := at.([]any); ok {
				at = list[0]
			} else {
				at = at.(map[string]any)[key]
			}
		}
		at.(map[string]any)["comment"] = map[string]any{"type": "string"}
	})
	return &next
}

// edit changes a file of YAML.
func edit(t *testing.T, file string, change func(map[string]any)) {
	t.Helper()
	var document map[string]any
	b, err := os.ReadFile(file)
	if err == nil {
		err = yaml.Unmarshal(b, &document)
	}
	if err != nil {
		t.Fatal(err)
	}
	change(document)
	if b, err = yaml.Marshal(document); err == nil {
		err = os.WriteFile(file, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// runs checks that all pods are of a version of the chart, and have its image.
func (w *world) runs(t *testing.T, chart, tag string) {
	t.Helper()
	eventually(t, "pods of another version to go", func() error {
		out, err := w.cluster.Kubectl(w.ctx, "-n", install.Namespace, "get", "pods", "-o",
			`jsonpath={range .items[*]}{.metadata.labels.helm\.sh/chart} {.spec.containers[0].image}{"\n"}{end}`)
		for line := range strings.Lines(out) {
			if want := chart + " " + build.SluiceRepository + ":" + tag; strings.TrimSpace(line) != want {
				return fmt.Errorf("there is %q, want %q", line, want)
			}
		}
		return err
	})
}

// explained looks whether a definition has a field.
func (w *world) explained(field string) error {
	_, err := w.cluster.Kubectl(w.ctx, "explain", field)
	return err
}

// owned is what Sluice has made for the Gateway, each with its UID, and the
// Gateway's addresses: none of it is made anew.
func (w *world) owned(t *testing.T) string {
	t.Helper()
	const uids = `jsonpath={range .items[*]}{.kind} {.metadata.name} {.metadata.uid}{"\n"}{end}`
	return strings.Join([]string{
		w.kubectl(t, "", "get", "services,endpointslices", "-l", "gateway.networking.k8s.io/gateway-name=front", "-o", uids),
		w.kubectl(t, "", "-n", "sluice-secrets", "get", "secrets", "-o", uids),
		strings.Join(w.addressesOf(t, "front", len(w.addresses)), " "),
	}, "\n")
}

// networkPolicy: the one that the chart has selects the controllers, and them
// alone, and its port is one that they name. Nothing in these clusters enforces it.
func (w *world) networkPolicy(t *testing.T) {
	t.Helper()
	var policy struct {
		Spec struct {
			PodSelector struct{ MatchLabels map[string]string }
			Ingress     []struct{ Ports []struct{ Port string } }
		}
	}
	w.must(t, w.cluster.Get(w.ctx, "/apis/networking.k8s.io/v1/namespaces/"+install.Namespace+"/networkpolicies/sluice-controller", &policy))
	var selector []string
	for key, value := range policy.Spec.PodSelector.MatchLabels {
		selector = append(selector, key+"="+value)
	}
	ports := strings.Fields(w.kubectl(t, "", "-n", install.Namespace, "get", "pods", "-l", strings.Join(selector, ","),
		"-o", "jsonpath={range .items[*]}{.metadata.labels.app\\.kubernetes\\.io/component}:{.spec.containers[*].ports[*].name} {end}"))
	if len(ports) != 2 || len(policy.Spec.Ingress) != 1 || len(policy.Spec.Ingress[0].Ports) != 1 {
		t.Fatalf("it selects %q with the rules %v", ports, policy.Spec.Ingress)
	}
	for _, got := range ports {
		if want := "controller:" + policy.Spec.Ingress[0].Ports[0].Port; got != want {
			t.Errorf("it selects a pod with the port %s, want %s", got, want)
		}
	}
}

// firstRevision is the release's first that was deployed.
func (w *world) firstRevision(t *testing.T) string {
	out, err := w.release.Helm(w.ctx, "history", install.Name, "--namespace", install.Namespace, "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	var revisions []struct{ Revision int }
	if err := json.Unmarshal([]byte(out), &revisions); err != nil || len(revisions) < 2 {
		t.Fatalf("history %s: %v, want two revisions", out, err)
	}
	return fmt.Sprint(revisions[0].Revision)
}
