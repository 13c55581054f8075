package v1alpha1

import (
	"fmt"
	"net/netip"
	"strings"
)

// AddressSpan is what an [AddressRange] stands for: the addresses of one family
// from the first to the last.
//
// +kubebuilder:object:generate=false
type AddressSpan struct{ First, Last netip.Addr }

// Contains tells whether an address is one of the span's.
func (s AddressSpan) Contains(a netip.Addr) bool {
	return s.First.BitLen() == a.BitLen() && s.First.Compare(a) <= 0 && a.Compare(s.Last) <= 0
}

// Overlaps tells whether two spans have an address in common.
func (s AddressSpan) Overlaps(t AddressSpan) bool {
	return s.Contains(t.First) || s.Contains(t.Last) || t.Contains(s.First)
}

// Span reads the range: an address, a prefix, or one address to another.
func (r AddressRange) Span() (AddressSpan, error) {
	text := string(r)
	if first, last, ok := strings.Cut(text, "-"); ok {
		a, errA := netip.ParseAddr(first)
		b, errB := netip.ParseAddr(last)
		if errA != nil || errB != nil || a.BitLen() != b.BitLen() {
			return AddressSpan{}, fmt.Errorf("%q is no range of addresses", text)
		}
		return AddressSpan{a, b}, nil
	}
	if p, err := netip.ParsePrefix(text); err == nil {
		return AddressSpan{p.Masked().Addr(), lastOf(p)}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return AddressSpan{}, fmt.Errorf("%q is no address, prefix or range", text)
	}
	return AddressSpan{a, a}, nil
}

// lastOf is the last address of a prefix.
func lastOf(p netip.Prefix) netip.Addr {
	bytes := p.Masked().Addr().AsSlice()
	for bit := p.Bits(); bit < len(bytes)*8; bit++ {
		bytes[bit/8] |= 1 << (7 - bit%8)
	}
	a, _ := netip.AddrFromSlice(bytes) // of a length that it has
	return a
}
