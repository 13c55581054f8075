package identity

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/approver"
	"sluice.io/sluice/identity/certmanager"
	"sluice.io/sluice/identity/identitytest"
	"sluice.io/sluice/identity/trust"
	"sluice.io/sluice/test/apiserver"
	"sluice.io/sluice/test/cluster"
)

func TestMain(m *testing.M) {
	apiserver.MainOf(m, cluster.Config{
		Name: "slid", Nodes: 2, Ranges: cluster.RangesOf(23), Images: []string{"pause"}, CertManager: true,
	}, func() error { return goleak.Find() })
}

const (
	system  = "sluice-system"
	secrets = "sluice-secrets"
	day     = 24 * time.Hour
)

// base is what all tests find: an agent on each node, with the documented rights,
// the identity of Sluice's controller, and an issuer without a key yet.
const base = `
apiVersion: v1
kind: Namespace
metadata: {name: sluice-system}
---
apiVersion: v1
kind: Namespace
metadata: {name: sluice-secrets}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sluice-agent, namespace: sluice-system}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: sluice-controller, namespace: sluice-system}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: mesh, namespace: sluice-system}
spec: {ca: {secretName: mesh-ca}}
---
apiVersion: cert-manager.io/v1
kind: Issuer
metadata: {name: other, namespace: sluice-system}
spec: {selfSigned: {}}
`

// world is the cluster with all that.
type world struct {
	*apiserver.Server
	core *corev1client.CoreV1Client
	td   identity.TrustDomain
}

var prepared sync.Once

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Server: apiserver.Get(t), td: identitytest.ID(t, "a", "b").TrustDomain()}
	var err error
	if w.core, err = corev1client.NewForConfig(w.Config(t)); err != nil {
		t.Fatal(err)
	}
	prepared.Do(func() {
		w.Apply(t, base)
		w.grant(t, "agent")
		w.grant(t, "controller")
		for _, node := range []string{"node1", "node2", "ghost1"} {
			w.pod(t, system, "agent-"+node, "sluice-agent", node, "hostNetwork: true")
		}
	})
	return w
}

// grant gives a part of Sluice the rights that docs/identity.md says it needs.
func (w *world) grant(t *testing.T, part string) {
	t.Helper()
	rights := apiserver.DocumentedIn(t, "identity.md", part, map[string]string{"sluice-secrets": secrets, "its own namespace (--namespace)": system})
	give := func(kind, namespace, rules string) {
		meta := fmt.Sprintf("metadata: {name: sluice-%s%s}\n", part, namespace)
		w.Apply(t, "apiVersion: rbac.authorization.k8s.io/v1\nkind: "+kind+"\n"+meta+rules+
			"---\napiVersion: rbac.authorization.k8s.io/v1\nkind: "+kind+"Binding\n"+meta+
			"roleRef: {apiGroup: rbac.authorization.k8s.io, kind: "+kind+", name: sluice-"+part+"}\n"+
			"subjects: [{kind: ServiceAccount, name: sluice-"+part+", namespace: "+system+"}]\n")
	}
	if rights.Cluster != "" {
		give("ClusterRole", "", rights.Cluster)
	}
	for namespace, rules := range rights.In {
		give("Role", ", namespace: "+namespace, rules)
	}
}

// pod makes a pod on a node. Whether it runs yet is all the same: it is bound to the
// node.
func (w *world) pod(t *testing.T, namespace, name, account, node string, more ...string) {
	t.Helper()
	w.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: ServiceAccount
metadata: {name: %[3]s, namespace: %[1]s}
---
apiVersion: v1
kind: Pod
metadata: {name: %[2]s, namespace: %[1]s}
spec:
  serviceAccountName: %[3]s
  nodeName: %[4]s
  terminationGracePeriodSeconds: 0
  %[5]s
  containers: [{name: pause, image: "registry.k8s.io/pause:3.10.1"}]
`, namespace, name, account, node, strings.Join(more, "\n  ")))
}

// as reaches the API server with a service account's token, bound to a pod if one
// is named.
func (w *world) as(t *testing.T, account, pod string) *rest.Config {
	t.Helper()
	var bound *authenticationv1.BoundObjectReference
	if pod != "" {
		p, err := w.core.Pods(system).Get(t.Context(), pod, metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		bound = &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod, UID: p.UID}
	}
	token, err := w.core.ServiceAccounts(system).CreateToken(t.Context(), account,
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{BoundObjectRef: bound}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(w.Config(t))
	config.BearerToken, config.QPS, config.Burst = token.Status.Token, -1, -1
	return config
}

// agent is how the agent of a node reaches the API server.
func (w *world) agent(t *testing.T, node string) *rest.Config {
	t.Helper()
	return w.as(t, "sluice-agent", "agent-"+node)
}

// background runs something until the test ends.
func background(t *testing.T, run func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// logs keeps a log, and shows it when the test fails.
func logs(t *testing.T, who string) (*slog.Logger, func() string) {
	t.Helper()
	b := &buffer{}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of %s:\n%s", who, b.String())
		}
	})
	return slog.New(slog.NewTextHandler(b, &slog.HandlerOptions{Level: slog.LevelInfo})), b.String
}

type buffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// mesh is the issuer that the documentation recommends.
var mesh = certmanager.IssuerRef{Name: "mesh"}

// controller runs what Sluice's controller does about identities.
func (w *world) controller(t *testing.T, keep time.Duration) (log func() string) {
	t.Helper()
	return w.controllerOf(t, mesh, keep)
}

// controllerOf runs the controller for another issuer.
func (w *world) controllerOf(t *testing.T, issuer certmanager.IssuerRef, keep time.Duration) (log func() string) {
	t.Helper()
	logger, log := logs(t, "the controller")
	config := w.as(t, "sluice-controller", "")
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	a, err := approver.New(approver.Options{Config: config, Keep: keep, Log: logger, Policy: approver.Policy{
		TrustDomain: w.td, Namespace: system, Issuer: issuer,
		Agent: approver.Account{Namespace: system, Name: "sluice-agent"}, Lifetime: day,
	}})
	if err != nil {
		t.Fatal(err)
	}
	background(t, a.Run)
	background(t, (&trust.Publisher{Client: core, From: system, To: secrets, Overlap: 25 * time.Hour, Log: logger}).Run)
	return log
}

// node runs what an agent does about identities, with the agent's own token.
func (w *world) node(t *testing.T, name string, o identity.Options) *identity.Keeper {
	t.Helper()
	return w.nodeOf(t, mesh, name, o)
}

// nodeOf runs an agent that asks another issuer.
func (w *world) nodeOf(t *testing.T, issuer certmanager.IssuerRef, name string, o identity.Options) *identity.Keeper {
	t.Helper()
	config := w.agent(t, name)
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	core, err := corev1client.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if o.Authority, err = certmanager.NewAuthority(certmanager.Options{
		Client: client, Namespace: system, Issuer: issuer, Node: name,
	}); err != nil {
		t.Fatal(err)
	}
	o.Log, _ = logs(t, name)
	k, err := identity.NewKeeper(o)
	if err != nil {
		t.Fatal(err)
	}
	background(t, func(ctx context.Context) error { return k.Run(ctx, func(identity.Change) {}) })
	background(t, func(ctx context.Context) error {
		trust.Follow(ctx, core, secrets, o.Log, k.Trust)
		return nil
	})
	return k
}

// sign has the issuer sign with an authority.
func (w *world) sign(t *testing.T, by *identitytest.Issuer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(by.Key)
	if err != nil {
		t.Fatal(err)
	}
	chain, root := []*x509.Certificate{by.Root}, by
	for ; root.Parent != nil; root = root.Parent {
		chain = append(chain, root.Parent.Root)
	}
	b64 := base64.StdEncoding.EncodeToString
	// Where the Issuer looks for it, and where a ClusterIssuer does.
	w.Apply(t, fmt.Sprintf(`
apiVersion: v1
kind: Secret
metadata: {name: mesh-ca, namespace: sluice-system}
type: kubernetes.io/tls
data: {tls.crt: %[1]s, tls.key: %[2]s, ca.crt: %[3]s}
---
apiVersion: v1
kind: Secret
metadata: {name: mesh-ca, namespace: cert-manager}
type: kubernetes.io/tls
data: {tls.crt: %[1]s, tls.key: %[2]s, ca.crt: %[3]s}
`, b64(identity.CertificatesToPEM(chain...)), b64(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})), b64(identity.CertificatesToPEM(root.Root))))
	w.Kube(t, "wait", "--for=condition=Ready", "--timeout=60s", "issuer", "-n", system, "mesh")
}

// trust says whom to trust.
func (w *world) trust(t *testing.T, roots []*identitytest.Issuer, distrusted ...*identitytest.Issuer) {
	t.Helper()
	text := "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: sluice-trust, namespace: sluice-system}\ndata:\n  roots.pem: |\n"
	for _, r := range roots {
		text += "    " + strings.ReplaceAll(strings.TrimSpace(string(identity.CertificatesToPEM(r.Root))), "\n", "\n    ") + "\n"
	}
	text += "  distrusted: |\n    \n"
	for _, r := range distrusted {
		text += "    " + string(identity.FingerprintOf(r.Root)) + "\n"
	}
	w.Apply(t, text)
}

// fresh has the cluster trust an authority of this test's own, and nobody else.
func (w *world) fresh(t *testing.T) *identitytest.Issuer {
	t.Helper()
	w.Kube(t, "delete", "configmap", "-n", secrets, trust.BundleName, "--ignore-not-found")
	w.Kube(t, "delete", "certificaterequests", "-n", system, "--all")
	root := identitytest.NewIssuer(t, t.Name())
	w.trust(t, []*identitytest.Issuer{root})
	return root
}

// within waits for something to come true, longer than the API server's and
// cert-manager's back-offs.
func within(t *testing.T, what string, ok func() (bool, string)) {
	t.Helper()
	var why string
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var done bool
		if done, why = ok(); done {
			return
		}
	}
	t.Fatalf("not within two minutes: %s: %s", what, why)
}

// served waits until an identity has a certificate.
func served(t *testing.T, k *identity.Keeper, id identity.ID) *identity.SVID {
	t.Helper()
	within(t, "a certificate for "+id.String(), func() (bool, string) { return k.SVID(id) != nil, fmt.Sprintf("%+v", k.Status()) })
	return k.SVID(id)
}
