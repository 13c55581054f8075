package builtin

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
)

// maxData bounds what a Secret or ConfigMap holds.
const maxData = 1 << 20

// Secret sets a Secret's defaults, moves its stringData into its data, and checks
// it. No fault tells a value.
func Secret(s *corev1.Secret) []Fault {
	orElse(&s.Type, corev1.SecretTypeOpaque)
	for k, v := range s.StringData {
		if s.Data == nil {
			s.Data = map[string][]byte{}
		}
		s.Data[k] = []byte(v)
	}
	s.StringData = nil
	var fs faults
	size := 0
	for _, k := range slices.Sorted(maps.Keys(s.Data)) {
		fs.all("data["+k+"]", validation.IsConfigMapKey(k))
		size += len(s.Data[k])
	}
	checkSize(&fs, size)
	if s.Type == corev1.SecretTypeTLS {
		for _, k := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey} {
			if _, ok := s.Data[k]; !ok {
				fs.add("data["+k+"]", "is required for type %s", s.Type)
			}
		}
	}
	return fs
}

// ConfigMap checks a ConfigMap.
func ConfigMap(c *corev1.ConfigMap) []Fault {
	var fs faults
	size := 0
	for _, k := range slices.Sorted(maps.Keys(c.Data)) {
		fs.all("data["+k+"]", validation.IsConfigMapKey(k))
		if _, twice := c.BinaryData[k]; twice {
			fs.add("binaryData["+k+"]", "is in data as well")
		}
		size += len(c.Data[k])
	}
	for _, k := range slices.Sorted(maps.Keys(c.BinaryData)) {
		fs.all("binaryData["+k+"]", validation.IsConfigMapKey(k))
		size += len(c.BinaryData[k])
	}
	checkSize(&fs, size)
	return fs
}

func checkSize(fs *faults, size int) {
	if size > maxData {
		fs.add("data", "holds %d bytes, more than %d", size, maxData)
	}
}
