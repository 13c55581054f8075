package apiserver

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/yaml"
)

// Rights are rules of RBAC: those of a ClusterRole, and those of Roles by their
// namespaces, as YAML.
type Rights struct {
	Cluster string
	In      map[string]string
}

// Documented reads the rules under a heading of docs/kubernetes.md, which starts
// with the part's name: each rule stands where the chart's reader looks for it.
func Documented(t *testing.T, part string, namespaces map[string]string) Rights {
	t.Helper()
	return DocumentedIn(t, "kubernetes.md", part, namespaces)
}

// DocumentedIn reads the rules of another page of docs.
func DocumentedIn(t *testing.T, page, part string, namespaces map[string]string) Rights {
	t.Helper()
	_, self, _, _ := runtime.Caller(0)
	text, err := os.ReadFile(filepath.Join(filepath.Dir(self), "../../docs", page))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\nThe "+part+" (")
	_, rest, ok2 := strings.Cut(rest, "```yaml\n")
	block, _, ok3 := strings.Cut(rest, "```")
	if !ok || !ok2 || !ok3 {
		t.Fatalf("docs/%s has no rules of the %s", page, part)
	}
	r := Rights{In: map[string]string{}}
	for _, role := range strings.Split("\n"+block, "\n# ")[1:] {
		heading, rules, _ := strings.Cut(role+"\n", "\n")
		if heading == "ClusterRole" {
			r.Cluster = rules
			continue
		}
		_, where, _ := strings.Cut(heading, "Role in ")
		namespace, ok := namespaces[where]
		if !ok {
			t.Fatalf("the rules of the %s are for %q: which namespace is that?", part, where)
		}
		r.In[namespace] = rules
	}
	return r
}

// rule is one of RBAC.
type rule struct {
	APIGroups     []string `json:"apiGroups"`
	Resources     []string `json:"resources"`
	ResourceNames []string `json:"resourceNames,omitempty"`
	Verbs         []string `json:"verbs"`
}

// Without are the rights without some verbs for a resource.
func (r Rights) Without(t *testing.T, resource string, verbs ...string) Rights {
	t.Helper()
	found := false
	drop := func(text string) string {
		var role struct {
			Rules []rule `json:"rules"`
		}
		if err := yaml.UnmarshalStrict([]byte(text), &role); err != nil {
			t.Fatal(err)
		}
		var kept []rule
		for _, r := range role.Rules {
			for _, what := range r.Resources {
				left := slices.DeleteFunc(slices.Clone(r.Verbs), func(verb string) bool { return what == resource && slices.Contains(verbs, verb) })
				found = found || len(left) < len(r.Verbs)
				if len(left) > 0 {
					kept = append(kept, rule{r.APIGroups, []string{what}, r.ResourceNames, left})
				}
			}
		}
		role.Rules = kept
		out, err := yaml.Marshal(role)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	less := Rights{Cluster: drop(r.Cluster), In: map[string]string{}}
	for namespace, rules := range r.In {
		less.In[namespace] = drop(rules)
	}
	if !found {
		t.Fatalf("there is no right to %s %s to be taken", strings.Join(verbs, " or "), resource)
	}
	return less
}

// As reaches the server as a user that has these rights and no others.
func (s *Server) As(t *testing.T, user string, r Rights) *rest.Config {
	t.Helper()
	role := func(kind, namespace, rules string) {
		meta := "name: " + user
		if namespace != "" {
			meta += "\n  namespace: " + namespace
		}
		s.Apply(t, fmt.Sprintf("apiVersion: rbac.authorization.k8s.io/v1\nkind: %s\nmetadata:\n  %s\n%s---\napiVersion: rbac.authorization.k8s.io/v1\nkind: %sBinding\nmetadata:\n  %s\nroleRef: {apiGroup: rbac.authorization.k8s.io, kind: %s, name: %s}\nsubjects: [{kind: User, apiGroup: rbac.authorization.k8s.io, name: %s}]\n",
			kind, meta, rules, kind, meta, kind, user, user))
	}
	role("ClusterRole", "", r.Cluster)
	for namespace, rules := range r.In {
		role("Role", namespace, rules)
	}
	t.Cleanup(func() {
		for namespace := range r.In {
			s.Kube(t, "delete", "role,rolebinding", "-n", namespace, user, "--ignore-not-found")
		}
		s.Kube(t, "delete", "clusterrole,clusterrolebinding", user, "--ignore-not-found")
	})
	config := s.Config(t)
	config.Impersonate.UserName = user
	config.Impersonate.Groups = []string{"system:authenticated"}
	return config
}
