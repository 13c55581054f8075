package health

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Pulse tells whether a loop goes round. The zero value is of one that has not
// begun, which is well.
type Pulse struct{ at atomic.Int64 } // in Unix nanoseconds

// Beat notes that the loop goes round now.
func (p *Pulse) Beat() { p.at.Store(time.Now().UnixNano()) }

// Rest notes that the loop has ended, and need not go round.
func (p *Pulse) Rest() { p.at.Store(0) }

// Check fails when a loop that has begun has not gone round for some time. What it
// is called stands in the error.
func (p *Pulse) Check(loop string, within time.Duration) error {
	at := p.at.Load()
	if at == 0 || time.Since(time.Unix(0, at)) <= within {
		return nil
	}
	return fmt.Errorf("the loop of %s has been silent since %s", loop, time.Unix(0, at).Format(time.RFC3339))
}
