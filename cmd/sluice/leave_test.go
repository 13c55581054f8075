package main

import (
	"context"
	"errors"
	"testing"
)

// told is a tenure of which an API server has said something.
type told struct {
	ended bool
	err   error
}

func (t told) Ended(context.Context) (bool, error) { return t.ended, t.err }

// TestLeave: traces are removed by an agent that had begun and has lost its place for good,
// and by no other.
func TestLeave(t *testing.T) {
	unknown := errors.New("nobody says")
	for name, c := range map[string]struct {
		began   bool
		place   tenure
		removes bool
		err     error
	}{
		"lost for good":                  {true, told{ended: true}, true, nil},
		"another agent comes":            {true, told{}, false, nil},
		"nobody says why":                {true, told{err: unknown}, false, unknown},
		"nobody says, whatever was seen": {true, told{true, unknown}, false, unknown},
		"it has not begun":               {false, told{ended: true}, false, nil},
		"it is no pod of a DaemonSet":    {true, nil, false, nil},
	} {
		removed := false
		err := leave(c.began, c.place, func() error { removed = true; return nil })
		if removed != c.removes || !errors.Is(err, c.err) {
			t.Errorf("%s: removed %v, %v", name, removed, err)
		}
	}
}
