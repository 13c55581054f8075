// Package finding words what resolve finds out about objects: a reason, as
// conditions have them, and a message that an operator can act on.
//
// It owns the reasons, and how several findings become one. It must not know
// objects.
package finding

import (
	"fmt"
	"strings"

	"sluice.io/sluice/model"
)

// Finding is a reason and a message; Where says in which rule, if in one.
type Finding struct {
	Where, Reason, Message string
}

// New is a finding with a formatted message.
func New(reason, format string, args ...any) *Finding {
	return &Finding{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// Unsupported is the finding for a value that cannot be used.
func Unsupported(format string, args ...any) *Finding {
	return New(UnsupportedValue, format, args...)
}

// Condition is a condition that has the finding as its reason.
func (f *Finding) Condition(kind string, status bool) model.Condition {
	return model.Condition{Type: kind, Status: status, Reason: f.Reason, Message: f.Message}
}

// maxListed bounds how many findings one message lists.
const maxListed = 8

// Merge makes one finding of several: the first one's reason, and all messages,
// by rule.
func Merge(prefix string, fs []*Finding) *Finding {
	listed := fs[:min(len(fs), maxListed)]
	msgs := make([]string, 0, len(listed)+1)
	for i, f := range listed {
		msg := f.Message
		if f.Where != "" && (i == 0 || f.Where != listed[i-1].Where) {
			msg = f.Where + ": " + msg
		}
		msgs = append(msgs, msg)
	}
	if more := len(fs) - len(listed); more > 0 {
		msgs = append(msgs, fmt.Sprintf("and %d more", more))
	}
	return &Finding{Reason: fs[0].Reason, Message: prefix + strings.Join(msgs, "; ")}
}

// ObjectAt names an object and where it stands, for messages.
func ObjectAt(o model.Origin) string {
	o.Rule = -1
	o.RuleName = ""
	return o.String()
}
