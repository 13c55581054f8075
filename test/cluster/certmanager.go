package cluster

import (
	"context"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// certManagerPort is where cert-manager's webhook listens, beside the API server.
const certManagerPort = 10250

// certManagerObjects are the webhook's configurations: those of cert-manager's
// chart, but for the address, as it is no pod.
const certManagerObjects = `
apiVersion: v1
kind: Namespace
metadata: {name: cert-manager}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingWebhookConfiguration
metadata:
  name: cert-manager-webhook
  annotations: {cert-manager.io/inject-ca-from-secret: cert-manager/cert-manager-webhook-ca}
webhooks:
- name: webhook.cert-manager.io
  rules: [{apiGroups: [cert-manager.io], apiVersions: [v1], operations: [CREATE], resources: [certificaterequests]}]
  admissionReviewVersions: [v1]
  matchPolicy: Equivalent
  timeoutSeconds: 30
  failurePolicy: Fail
  sideEffects: None
  clientConfig: {url: "https://localhost:PORT/mutate"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingWebhookConfiguration
metadata:
  name: cert-manager-webhook
  annotations: {cert-manager.io/inject-ca-from-secret: cert-manager/cert-manager-webhook-ca}
webhooks:
- name: webhook.cert-manager.io
  rules: [{apiGroups: [cert-manager.io, acme.cert-manager.io], apiVersions: [v1], operations: [CREATE, UPDATE], resources: ["*/*"]}]
  admissionReviewVersions: [v1]
  matchPolicy: Equivalent
  timeoutSeconds: 30
  failurePolicy: Fail
  sideEffects: None
  clientConfig: {url: "https://localhost:PORT/validate"}
`

// certManagerProbe is what cert-manager answers for when all of it works.
const certManagerProbe = `
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: probe, namespace: cert-manager}
spec: {selfSigned: {}}
`

// addons are components that need more than an API server: they start last.
func (c *Cluster) addons() []component {
	if !c.cfg.CertManager {
		return nil
	}
	args := []string{
		filepath.Join(c.state.Programs["cert-manager"], "cert-manager"), "--kubeconfig", c.Kubeconfig(),
		"--webhook-port", strconv.Itoa(certManagerPort),
	}
	return []component{{controlName, "cert-manager", append(args, c.cfg.Args["cert-manager"]...), c.certManagerReady}}
}

// installCertManager installs cert-manager, without its auto-approver, and waits
// until it serves.
func (c *Cluster) installCertManager(ctx context.Context) error {
	crds := filepath.Join(c.state.Programs["cert-manager"], "crds")
	if _, err := c.Kubectl(ctx, "apply", "--server-side", "-f", crds); err != nil {
		return fmt.Errorf("install cert-manager: %w", err)
	}
	if _, err := c.Kubectl(ctx, "wait", "--for=condition=Established", "--timeout=60s", "-f", crds); err != nil {
		return fmt.Errorf("install cert-manager: %w", err)
	}
	objects := strings.ReplaceAll(certManagerObjects, "PORT", strconv.Itoa(certManagerPort))
	if _, err := c.KubectlWith(ctx, objects, "apply", "--server-side", "-f", "-"); err != nil {
		return fmt.Errorf("install cert-manager: %w", err)
	}
	for _, comp := range c.addons() {
		if err := c.start(ctx, comp); err != nil {
			return err
		}
	}
	c.progress.say("cert-manager serves")
	return nil
}

// certManagerReady tells whether the webhook answers, with the authority that the
// API server was told.
func (c *Cluster) certManagerReady(ctx context.Context) error {
	for _, kind := range []string{"mutating", "validating"} {
		var config struct {
			Webhooks []struct{ ClientConfig struct{ CABundle string } }
		}
		if err := c.Get(ctx, "/apis/admissionregistration.k8s.io/v1/"+kind+"webhookconfigurations/cert-manager-webhook", &config); err != nil {
			return err
		}
		for _, w := range config.Webhooks {
			if w.ClientConfig.CABundle == "" {
				return fmt.Errorf("the %s webhook has no authority yet", kind)
			}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	_, err := c.KubectlWith(ctx, certManagerProbe, "create", "--dry-run=server", "-f", "-")
	return err
}
