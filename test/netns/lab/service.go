package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"text/template"
)

// Service is a Kubernetes Service with its EndpointSlices, to be written as YAML.
type Service struct {
	Namespace, Name string
	VIP             VIP
	// Headless services have no addresses of their own.
	Headless bool
	// AffinitySeconds is the ClientIP affinity's time; zero for none.
	AffinitySeconds int
	Ports           []Port
	Endpoints       []*Pod
}

// Port is one port of a service.
type Port struct {
	Name        string
	Protocol    string // TCP when empty
	Port        int
	Target      int
	AppProtocol string
}

// On returns the service's address and port for a family, 4 or 6.
func (s *Service) On(family, port int) netip.AddrPort {
	return netip.AddrPortFrom(s.VIP.Addr(family), uint16(port))
}

var serviceYAML = template.Must(template.New("service").Parse(`apiVersion: v1
kind: Service
metadata:
  name: {{.Name}}
  namespace: {{.Namespace}}
spec:
  {{- if .Headless}}
  clusterIP: None
  {{- else}}
  clusterIP: {{.VIP.V4}}
  clusterIPs: ["{{.VIP.V4}}", "{{.VIP.V6}}"]
  {{- end}}
  ipFamilies: [IPv4, IPv6]
  ipFamilyPolicy: RequireDualStack
  {{- if .AffinitySeconds}}
  sessionAffinity: ClientIP
  sessionAffinityConfig: {clientIP: {timeoutSeconds: {{.AffinitySeconds}}}}
  {{- end}}
  ports:
  {{- range .Ports}}
  - name: {{.Name}}
    protocol: {{.Protocol}}
    port: {{.Port}}
    targetPort: {{.Target}}
    {{- if .AppProtocol}}
    appProtocol: {{.AppProtocol}}
    {{- end}}
  {{- end}}
{{range $family := .Families}}---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: {{$.Name}}-{{$family}}
  namespace: {{$.Namespace}}
  labels:
    kubernetes.io/service-name: {{$.Name}}
addressType: IPv{{$family}}
ports:
{{- range $.Ports}}
- {name: {{.Name}}, protocol: {{.Protocol}}, port: {{.Target}}
  {{- if .AppProtocol}}, appProtocol: {{.AppProtocol}}{{end}}}
{{- end}}
endpoints:
{{- range $.Endpoints}}
- addresses: ["{{.Addr $family}}"]
  conditions: {ready: true}
  targetRef: {kind: Pod, namespace: {{$.Namespace}}, name: {{.Name}}}
{{- else}} []
{{- end}}
{{end}}`))

// Families are the IP families of a service.
func (s *Service) Families() []int { return []int{4, 6} }

// YAML is the Service and an EndpointSlice for each family.
func (s *Service) YAML() string {
	filled := *s
	filled.Ports = make([]Port, len(s.Ports))
	for i, p := range s.Ports {
		if p.Protocol == "" {
			p.Protocol = "TCP"
		}
		if p.Name == "" {
			p.Name = fmt.Sprintf("p%d", p.Port)
		}
		if p.Target == 0 {
			p.Target = p.Port
		}
		filled.Ports[i] = p
	}
	var b strings.Builder
	if err := serviceYAML.Execute(&b, &filled); err != nil {
		panic(err) // The template is a constant, and a builder takes all.
	}
	return b.String()
}

// WorkloadYAML declares a pod to the mesh as namespace/name, by its network
// namespace or, for a HostPod, by its cgroup.
func (p *Pod) WorkloadYAML(namespace, name string) string {
	where := "netns: " + p.Netns
	if p.veth == "" {
		where = "cgroup: " + p.Cgroup
	}
	return fmt.Sprintf(`apiVersion: sluice.io/v1alpha1
kind: Workload
metadata:
  name: %s
  namespace: %s
  labels: {app: %s}
spec:
  %s
  addresses: ["%s", "%s"]
`, name, namespace, name, where, p.V4, p.V6)
}
