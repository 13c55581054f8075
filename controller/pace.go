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

// contest is with others who change what we write.
type contest struct {
	times int // that the same was written
	last  time.Time
	told  bool
}

// patience is how often the same may be written at once. More than that, and
// somebody else writes over it.
const patience = 3

// calm is how long nobody must have written over something for the count to start anew.
const calm = 10 * time.Minute

// wait tells how long to wait before the same is written again, and whether it is
// news that one has to.
func (c *contest) wait(now time.Time) (wait time.Duration, news bool) {
	if now.Sub(c.last) > calm {
		*c = contest{}
	}
	if c.times < patience {
		return 0, false
	}
	news = !c.told
	c.told = true
	return max(0, min(time.Second<<min(c.times-patience, 9), calm/2)-now.Sub(c.last)), news
}

// wrote notes that it was written.
func (c *contest) wrote(now time.Time) {
	c.times++
	c.last = now
}
