package controller

import "time"

// A status that changes all the time, such as the count of a Gateway's routes
// while they are made, is written that often once maxBurst writes have gone out.
const (
	maxBurst = 3
	pace     = 250 * time.Millisecond
)

// pacer spreads the writes of one object.
type pacer struct {
	burst int // writes without a pause between them
	last  time.Time
}

// wait tells how long to wait before the next write, zero for not at all.
func (p *pacer) wait(now time.Time) time.Duration {
	since := now.Sub(p.last)
	switch {
	case since > 2*pace:
		p.burst = 0
	case p.burst >= maxBurst && since < pace:
		return pace - since
	}
	return 0
}

// wrote notes a write.
func (p *pacer) wrote(now time.Time) {
	p.burst++
	p.last = now
}
