package announce

import (
	"encoding/hex"
	"net"
	"net/netip"
	"strings"
	"testing"
)

// TestFrames has the frames as they are on the wire, field by field.
func TestFrames(t *testing.T) {
	mac := net.HardwareAddr{0x02, 0, 0, 0, 0, 0x2a}
	for addr, want := range map[string][]string{
		"192.0.2.7": {
			"ffffffffffff 02000000002a 0806 0001 0800 06 04 0001 02000000002a c0000207 ffffffffffff c0000207",
			"ffffffffffff 02000000002a 0806 0001 0800 06 04 0002 02000000002a c0000207 ffffffffffff c0000207",
		},
		"2001:db8::7": {
			"333300000001 02000000002a 86dd 60000000 0020 3a ff 20010db8000000000000000000000007 ff020000000000000000000000000001" +
				"88 00 f8f5 20000000 20010db8000000000000000000000007 02 01 02000000002a",
		},
	} {
		got := framesFor(mac, netip.MustParseAddr(addr))
		if len(got) != len(want) {
			t.Fatalf("%s: %d frames, want %d", addr, len(got), len(want))
		}
		for i := range got {
			if text := hex.EncodeToString(got[i]); text != strings.ReplaceAll(want[i], " ", "") {
				t.Errorf("%s:\n%s, want\n%s", addr, text, strings.ReplaceAll(want[i], " ", ""))
			}
		}
	}
}
