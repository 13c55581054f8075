package v1alpha1

import "testing"

func TestSpan(t *testing.T) {
	for _, c := range []struct {
		text        AddressRange
		first, last string
	}{
		{"192.0.2.7", "192.0.2.7", "192.0.2.7"},
		{"192.0.2.8/29", "192.0.2.8", "192.0.2.15"},
		{"192.0.2.7-192.0.2.9", "192.0.2.7", "192.0.2.9"},
		{"2001:db8::/126", "2001:db8::", "2001:db8::3"},
		{"0.0.0.0/0", "0.0.0.0", "255.255.255.255"},
	} {
		if s, err := c.text.Span(); err != nil || s.First.String() != c.first || s.Last.String() != c.last {
			t.Errorf("%s is %v, %v", c.text, s, err)
		}
	}
	for _, bad := range []AddressRange{"", "x", "192.0.2.7-::1", "192.0.2.0/33", "1-2-3"} {
		if s, err := bad.Span(); err == nil {
			t.Errorf("%q is %v", bad, s)
		}
	}
}
