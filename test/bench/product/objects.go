package product

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// VIP is the address of the i-th service.
func VIP(i int) string {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24|96<<16+uint32(i)+1)
	return netip.AddrFrom4(b).String()
}

// ServiceName is the name of the i-th service, and of all that belongs to it.
func ServiceName(i int) string { return fmt.Sprintf("svc-%05d", i) }

// Service is the i-th service on port 80 with one endpoint, as YAML.
func Service(i int, endpoint string, port int) string {
	return fmt.Sprintf(`---
apiVersion: v1
kind: Service
metadata: {namespace: bench, name: %[1]s}
spec:
  clusterIP: %[2]s
  clusterIPs: [%[2]s]
  selector: {app: %[1]s}
  ports: [{name: http, port: 80, targetPort: %[4]d, protocol: TCP, appProtocol: http}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {namespace: bench, name: %[1]s-1, labels: {kubernetes.io/service-name: %[1]s}}
addressType: IPv4
ports: [{name: http, port: %[4]d, protocol: TCP}]
endpoints: [{addresses: [%[3]s], conditions: {ready: true}}]
`, ServiceName(i), VIP(i), endpoint, port)
}

// Route is an HTTPRoute of the i-th service, as YAML: one rule, which marks the
// responses with a value. Lines of comment come first, to move what follows.
func Route(i int, mark string, comments int) string {
	return fmt.Sprintf(`---
%[3]sapiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: bench, name: %[1]s}
spec:
  parentRefs: [{group: "", kind: Service, name: %[1]s, port: 80}]
  rules:
  - matches: [{path: {type: PathPrefix, value: /}}]
    filters:
    - type: ResponseHeaderModifier
      responseHeaderModifier: {set: [{name: x-mark, value: %[2]s}]}
    backendRefs: [{name: %[1]s, port: 80}]
`, ServiceName(i), mark, strings.Repeat("# a comment\n", comments))
}

// PlainRoute is an HTTPRoute of the i-th service that takes every request and
// changes nothing.
func PlainRoute(i int) string {
	return fmt.Sprintf(`---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {namespace: bench, name: %[1]s}
spec:
  parentRefs: [{group: "", kind: Service, name: %[1]s, port: 80}]
  rules:
  - backendRefs: [{name: %[1]s, port: 80}]
`, ServiceName(i))
}

// Workload declares a network namespace as a client, as YAML.
func Workload(name, netns string) string {
	return fmt.Sprintf(`---
apiVersion: sluice.io/v1alpha1
kind: Workload
metadata: {namespace: bench, name: %s}
spec: {netns: %s}
`, name, netns)
}

// Write puts a file into the folder in one step.
func (s *Sluice) Write(name, text string) error {
	commit, err := s.Stage(name, text)
	if err != nil {
		return err
	}
	return commit()
}

// Stage writes a file beside the folder and returns the rename that brings it
// into the folder.
func (s *Sluice) Stage(name, text string) (commit func() error, err error) {
	staged := filepath.Join(s.cell.Dir, name+".new")
	if err := os.WriteFile(staged, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("write %s: %w", name, err)
	}
	return func() error { return os.Rename(staged, filepath.Join(s.Folder, name)) }, nil
}
