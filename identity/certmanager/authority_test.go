package certmanager_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"sluice.io/sluice/identity"
	"sluice.io/sluice/identity/certmanager"
	"sluice.io/sluice/identity/identitytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// api is an API server without cert-manager: the test is cert-manager.
type api struct {
	*fake.FakeDynamicClient
	t       *testing.T
	created chan *unstructured.Unstructured
}

func newAPI(t *testing.T) *api {
	a := &api{t: t, created: make(chan *unstructured.Unstructured, 10)}
	a.FakeDynamicClient = fake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(),
		map[schema.GroupVersionResource]string{certmanager.Resource: "CertificateRequestList"})
	n := 0
	a.PrependReactor("create", "certificaterequests", func(action clienttesting.Action) (bool, runtime.Object, error) {
		u := action.(clienttesting.CreateAction).GetObject().(*unstructured.Unstructured)
		n++
		u.SetName(fmt.Sprintf("%s%d", u.GetGenerateName(), n)) // as the API server does
		u.SetUID("uid-1")
		a.created <- u.DeepCopy()
		return false, nil, nil
	})
	return a
}

func (a *api) authority() *certmanager.Authority {
	a.t.Helper()
	auth, err := certmanager.NewAuthority(certmanager.Options{
		Client: a, Namespace: "sluice-system", Issuer: certmanager.IssuerRef{Name: "mesh", Kind: "ClusterIssuer"}, Node: "node1",
	})
	if err != nil {
		a.t.Fatal(err)
	}
	return auth
}

// say sets the status of a request.
func (a *api) say(u *unstructured.Unstructured, status map[string]any) {
	a.t.Helper()
	u = u.DeepCopy()
	u.Object["status"] = status
	if _, err := a.Resource(certmanager.Resource).Namespace(u.GetNamespace()).Update(context.Background(), u, metav1.UpdateOptions{}); err != nil {
		a.t.Error(err)
	}
}

func conditions(all ...string) map[string]any {
	var list []any
	for _, c := range all {
		f := strings.SplitN(c, "|", 4)
		list = append(list, map[string]any{"type": f[0], "status": f[1], "reason": f[2], "message": f[3]})
	}
	return map[string]any{"conditions": list}
}

func signed(t *testing.T, ca *identitytest.Issuer, r identity.Request) map[string]any {
	t.Helper()
	chain, err := ca.Issue(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := conditions("Approved|True|sluice.io|x", "Ready|True|Issued|x")
	s["certificate"] = encode(identity.CertificatesToPEM(chain...))
	return s
}

func request(t *testing.T, progress func(string)) identity.Request {
	t.Helper()
	id := identitytest.ID(t, "shop", "cart")
	der, err := identity.NewRequest(id, identitytest.NewKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return identity.Request{ID: id, DER: der, Lifetime: 24 * time.Hour, Progress: progress}
}

func TestSign(t *testing.T) {
	a, ca := newAPI(t), identitytest.NewIssuer(t, "ca").Intermediate(t, "between")
	var progress []string
	r := request(t, func(s string) { progress = append(progress, s) })
	go func() {
		u := <-a.created
		a.say(u, conditions("Approved|True|sluice.io|x"))
		a.say(u, conditions("Approved|True|sluice.io|x", "Ready|False|Pending|the vault is sealed"))
		a.say(u, signed(t, ca, r))
	}()
	chain, err := a.authority().Sign(t.Context(), r)
	if err != nil || len(chain) != 2 || chain[0].URIs[0].String() != r.ID.String() {
		t.Fatalf("%d certificates, %v", len(chain), err)
	}
	if all := strings.Join(progress, "\n"); !strings.Contains(all, "approval of CertificateRequest sluice-system/node1-1") {
		t.Errorf("progress %q", all)
	}
	list, err := a.Resource(certmanager.Resource).Namespace("sluice-system").List(t.Context(), metav1.ListOptions{})
	if err != nil || len(list.Items) != 1 {
		t.Fatal(err, list)
	}
	got, unknown, err := certmanager.Decode(&list.Items[0])
	if err != nil || unknown != nil {
		t.Fatal(err, unknown)
	}
	if s := got.Spec; s.Duration.Duration != 24*time.Hour || s.IsCA || !certmanager.IsUsages(s.Usages) || s.IssuerRef.String() != "ClusterIssuer/mesh" || s.Username != "" {
		t.Errorf("asked for %+v", s)
	}
	if der, err := identity.RequestFromPEM(got.Spec.Request); err != nil || string(der) != string(r.DER) {
		t.Errorf("the request is another one: %v", err)
	}
}

func TestOutcomes(t *testing.T) {
	for name, tc := range map[string]struct {
		status map[string]any
		want   string
		denied bool
	}{
		"denied":         {conditions("Denied|True|sluice.io|NoPodOnNode: no pod of shop/cart on node1", "Ready|False|Denied|x"), "no pod of shop/cart on node1", true},
		"failed":         {conditions("Approved|True|sluice.io|x", "Ready|False|Failed|the CA refuses URIs"), "the CA refuses URIs", false},
		"invalid":        {conditions("InvalidRequest|True|x|no good"), "no good", false},
		"not PEM":        {map[string]any{"conditions": conditions("Ready|True|Issued|x")["conditions"], "certificate": encode([]byte("-----BEGIN CERTIFICATE"))}, "read the certificate", false},
		"a key returned": {map[string]any{"conditions": conditions("Ready|True|Issued|x")["conditions"], "certificate": encode([]byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"))}, "PRIVATE KEY", false},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			go func() { a.say(<-a.created, tc.status) }()
			_, err := a.authority().Sign(t.Context(), request(t, nil))
			if err == nil || !strings.Contains(err.Error(), tc.want) || errors.Is(err, identity.ErrDenied) != tc.denied {
				t.Errorf("%v: want %q, denied %v", err, tc.want, tc.denied)
			}
		})
	}
}

// TestNobodyAnswers: the error says who is to be looked for.
func TestNobodyAnswers(t *testing.T) {
	for name, tc := range map[string]struct {
		status map[string]any
		want   string
	}{
		"not approved": {conditions(), "the controller of Sluice gives it, if it runs"},
		"not signed":   {conditions("Approved|True|sluice.io|x", "Ready|False|Pending|the vault is sealed"), "the vault is sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			ctx, stop := context.WithTimeout(ctx, time.Second)
			defer stop()
			go func() { a.say(<-a.created, tc.status) }()
			_, err := a.authority().Sign(ctx, request(t, nil))
			if err == nil || !strings.Contains(err.Error(), "waited too long") || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v: want %q", err, tc.want)
			}
		})
	}
}

// TestWatchEnds: an API server that goes away for a while costs nothing but time.
func TestWatchEnds(t *testing.T) {
	a, ca := newAPI(t), identitytest.NewIssuer(t, "ca")
	r := request(t, nil)
	watches, gets := 0, 0
	a.PrependWatchReactor("certificaterequests", func(clienttesting.Action) (bool, watch.Interface, error) {
		if watches++; watches > 1 {
			return false, nil, nil
		}
		w := watch.NewFake()
		w.Stop() // ended at once
		return true, w, nil
	})
	a.PrependReactor("get", "certificaterequests", func(clienttesting.Action) (bool, runtime.Object, error) {
		if gets++; gets == 1 {
			return true, nil, apierrors.NewInternalError(errors.New("away"))
		}
		return false, nil, nil
	})
	go func() { a.say(<-a.created, signed(t, ca, r)) }()
	if _, err := a.authority().Sign(t.Context(), r); err != nil || gets < 2 {
		t.Errorf("%v after %d reads", err, gets)
	}
}

// TestRemoved: a request that somebody removes, or puts another in the place of,
// is not waited for: another one's certificate would be of another key.
func TestRemoved(t *testing.T) {
	for name, kind := range map[string]watch.EventType{"removed": watch.Deleted, "replaced": watch.Modified} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			w := watch.NewFake()
			a.PrependWatchReactor("certificaterequests", func(clienttesting.Action) (bool, watch.Interface, error) { return true, w, nil })
			go func() {
				u := <-a.created
				if kind == watch.Modified {
					u.SetUID("uid-2")
				}
				w.Action(kind, u)
			}()
			if _, err := a.authority().Sign(t.Context(), request(t, nil)); err == nil || !strings.Contains(err.Error(), "removed before it was answered") {
				t.Error(err)
			}
		})
	}
}

func TestRefusedByTheAPIServer(t *testing.T) {
	for name, tc := range map[string]struct {
		err  error
		want string
	}{
		"no CRDs":  {apierrors.NewNotFound(certmanager.Resource.GroupResource(), ""), "not installed"},
		"no right": {apierrors.NewForbidden(certmanager.Resource.GroupResource(), "", errors.New("x")), "lacks the right"},
	} {
		t.Run(name, func(t *testing.T) {
			a := newAPI(t)
			a.PrependReactor("create", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, tc.err })
			if _, err := a.authority().Sign(t.Context(), request(t, nil)); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v: want %q", err, tc.want)
			}
		})
	}
}
