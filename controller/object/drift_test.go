package object

import (
	"encoding/json"
	"strings"
	"testing"

	"sluice.io/sluice/model"
)

func parsed(t *testing.T, text string) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return m
}

func TestWhatOthersChangedIsSeen(t *testing.T) {
	const service = `{"metadata":{"labels":{"a":"b"},"annotations":{"c":"d"}},"spec":{"type":"LoadBalancer","selector":{},"ports":[{"port":80,"protocol":"TCP","targetPort":1}]}}`
	const slice = `{"metadata":{"labels":{"a":"b"}},"addressType":"IPv4","endpoints":[{"addresses":["10.0.0.1"],"conditions":{"ready":true}}],"ports":[{"port":1}]}`
	for name, c := range map[string]struct {
		kind, want, have string
		drift            bool
	}{
		"as it was":         {"Service", service, strings.Replace(service, `"selector":{},`, "", 1), false},
		"what others added": {"Service", service, `{"metadata":{"labels":{"a":"b","x":"y"},"annotations":{"c":"d","x":"y"},"finalizers":["f"]},"spec":{"clusterIP":"10.96.0.1","type":"LoadBalancer","ports":[{"port":81,"protocol":"TCP","targetPort":2},{"nodePort":30000,"port":80,"protocol":"TCP","targetPort":1}]},"status":{}}`, false},
		"a label":           {"Service", service, strings.Replace(service, `"b"`, `"x"`, 1), true},
		"no annotation":     {"Service", service, strings.Replace(service, `"annotations":{"c":"d"}`, `"annotations":{}`, 1), true},
		"a type":            {"Service", service, strings.Replace(service, "LoadBalancer", "NodePort", 1), true},
		"a selector":        {"Service", service, strings.Replace(service, `"selector":{}`, `"selector":{"app":"x"}`, 1), true},
		"a target":          {"Service", service, strings.Replace(service, `"targetPort":1`, `"targetPort":2`, 1), true},
		"a protocol":        {"Service", service, strings.Replace(service, "TCP", "UDP", 1), true},
		"no port":           {"Service", service, strings.Replace(service, `{"port":80,"protocol":"TCP","targetPort":1}`, "", 1), true},
		"a slice as it was": {"EndpointSlice", slice, slice, false},
		"an endpoint more":  {"EndpointSlice", slice, strings.Replace(slice, `"endpoints":[`, `"endpoints":[{"addresses":["10.6.6.6"]},`, 1), true},
		"another address":   {"EndpointSlice", slice, strings.Replace(slice, "10.0.0.1", "10.6.6.6", 1), true},
		"not ready":         {"EndpointSlice", slice, strings.Replace(slice, "true", "false", 1), true},
		"another port":      {"EndpointSlice", slice, strings.Replace(slice, `"port":1`, `"port":2`, 1), true},
		"nothing":           {"EndpointSlice", slice, `{}`, true},
	} {
		if got := drifted(model.ObjectRef{Kind: c.kind}, parsed(t, c.have), parsed(t, c.want)); got != c.drift {
			t.Errorf("%s: drifted is %v", name, got)
		}
	}
}
