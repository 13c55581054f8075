package status

import (
	"strings"
	"testing"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"sluice.io/sluice/model"
)

// TestMessagesAreCutBetweenCharacters wants as much of a message as the API takes, and
// nothing that JSON would change.
func TestMessagesAreCutBetweenCharacters(t *testing.T) {
	for name, c := range map[string]struct {
		message string
		left    int
	}{
		"short":           {"it is so", len("it is so")},
		"as long as can":  {strings.Repeat("x", maxMessage), maxMessage},
		"too long":        {strings.Repeat("x", maxMessage+1), maxMessage},
		"in two bytes":    {"x" + strings.Repeat("ü", maxMessage), maxMessage - 1},
		"in three bytes":  {strings.Repeat("€", maxMessage), maxMessage - 2},
		"in four bytes":   {"xxx" + strings.Repeat("🚪", maxMessage), maxMessage - 1},
		"ends with a few": {strings.Repeat("x", maxMessage-2) + "€", maxMessage - 2},
		"no characters":   {strings.Repeat("\x80", maxMessage+1), 0},
	} {
		got := Conditions([]model.Condition{{Type: "Accepted", Message: c.message}}, nil, 1, metav1.Now())[0].Message
		if len(got) != c.left || !strings.HasPrefix(c.message, got) || !utf8.ValidString(got) {
			t.Errorf("%s: %d bytes are left, want %d (valid: %t)", name, len(got), c.left, utf8.ValidString(got))
		}
	}
}
