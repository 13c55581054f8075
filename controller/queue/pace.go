package queue

import "time"

// A status that changes all the time, such as the count of a Gateway's routes
// while they are made, is written that often once MaxBurst writes have gone out.
const (
	MaxBurst = 3
	Pace     = 250 * time.Millisecond
)

// Pacer spreads the writes of one object.
type Pacer struct {
	burst int // writes without a pause between them
	last  time.Time
}

// Wait tells how long to wait before the next write, zero for not at all.
func (p *Pacer) Wait(now time.Time) time.Duration {
	since := now.Sub(p.last)
	switch {
	case since > 2*Pace:
		p.burst = 0
	case p.burst >= MaxBurst && since < Pace:
		return Pace - since
	}
	return 0
}

// Wrote notes a write.
func (p *Pacer) Wrote(now time.Time) {
	p.burst++
	p.last = now
}

// Contest is with others who change what we write.
type Contest struct {
	times int // that the same was written
	last  time.Time
	told  bool
}

// Patience is how often the same may be written at once. More than that, and
// somebody else writes over it.
const Patience = 3

// calm is how long nobody must have written over something for the count to start anew.
const calm = 10 * time.Minute

// Wait tells how long to wait before the same is written again, and whether it is
// news that one has to.
func (c *Contest) Wait(now time.Time) (wait time.Duration, news bool) {
	if now.Sub(c.last) > calm {
		*c = Contest{}
	}
	if c.times < Patience {
		return 0, false
	}
	news = !c.told
	c.told = true
	return max(0, min(time.Second<<min(c.times-Patience, 9), calm/2)-now.Sub(c.last)), news
}

// Wrote notes that it was written.
func (c *Contest) Wrote(now time.Time) {
	c.times++
	c.last = now
}

// Calm tells that nobody has written over it for a while.
func (c *Contest) Calm(now time.Time) bool { return now.Sub(c.last) > calm }

// Undo takes back a write that was none.
func (c *Contest) Undo() { c.times = max(0, c.times-1) }
