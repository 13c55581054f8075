package builtin

import discoveryv1 "k8s.io/api/discovery/v1"

func EndpointSlice(s *discoveryv1.EndpointSlice) []Fault { return nil }
