package builtin

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// orElse sets a value that is empty.
func orElse[T comparable](v *T, other T) {
	var empty T
	if *v == empty {
		*v = other
	}
}

// orNew sets a pointer that is nil.
func orNew[T any](p **T) {
	if *p == nil {
		*p = new(T)
	}
}

// orNewValue sets a pointer that is nil to a value.
func orNewValue[T any](p **T, v T) {
	if *p == nil {
		*p = &v
	}
}

func path(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

// oneOf checks that a value is one of those that there are.
func oneOf[T ~string](fs *faults, path string, v T, known ...T) {
	if slices.Contains(known, v) {
		return
	}
	var names []string
	for _, k := range known {
		names = append(names, string(k))
	}
	fs.add(path, "unsupported value %q: it is one of %s", string(v), strings.Join(names, ", "))
}

func portNumber(fs *faults, path string, port int32) {
	if port < 1 || port > 65535 {
		fs.add(path, "%d is not between 1 and 65535", port)
	}
}

// familyOf is the family of an address, empty when it is none. An address with a
// zone, or with leading zeros, is none.
func familyOf(ip string) corev1.IPFamily {
	addr, err := netip.ParseAddr(ip)
	switch {
	case err != nil || addr.Zone() != "" || addr.Is4In6():
		return ""
	case addr.Is4():
		return corev1.IPv4Protocol
	}
	return corev1.IPv6Protocol
}

func isCIDR(text string) bool {
	_, err := netip.ParsePrefix(strings.TrimSpace(text))
	return err == nil
}

func trimDot(name string) string { return strings.TrimSuffix(name, ".") }
