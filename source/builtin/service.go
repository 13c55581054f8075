package builtin

import corev1 "k8s.io/api/core/v1"

func Service(s *corev1.Service) []Fault { return nil }
