package lab

import (
	"errors"
	"time"
)

// Poll calls try until it returns nil, and returns its last error when the time
// is up, or at once when it is [Permanent].
func Poll(within time.Duration, try func() error) error {
	deadline := time.Now().Add(within)
	pause := 2 * time.Millisecond
	for {
		err := try()
		var p *permanent
		if err == nil || errors.As(err, &p) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(pause)
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// Permanent marks an error that waiting won't mend.
func Permanent(err error) error { return &permanent{err} }

type permanent struct{ error }

// Unwrap returns the marked error.
func (p *permanent) Unwrap() error { return p.error }
