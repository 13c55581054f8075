package identity

import "time"

// When to do what, as functions of time and chance alone. Chance is from 0 up to,
// not including, 1.
//
// Certificates go by the wall clock, pauses by the time that passes: a clock that
// is set must neither let a certificate expire nor keep a node from asking again.

// renewAt is when to ask for the next certificate: around the middle of the life
// that is left to it when it comes in, so that what came at once is not renewed
// at once.
func renewAt(now, notAfter time.Time, chance float64) time.Time {
	left := float64(notAfter.Sub(now))
	return now.Round(0).Add(time.Duration(left * (0.4 + 0.2*chance)))
}

// The pauses after failures.
const (
	firstPause = time.Second
	lastPause  = 5 * time.Minute
)

// pause is how long to wait after the nth failure in a row, the first being 1:
// twice as long each time, and by chance between half of it and all. When an old
// certificate still serves, but not for long, the pauses get short again.
func pause(n int, left time.Duration, chance float64) time.Duration {
	p := lastPause
	if n < 10 {
		p = min(p, firstPause<<(n-1))
	}
	if left > 0 {
		p = max(firstPause, min(p, left/8))
	}
	return p/2 + time.Duration(chance*float64(p/2))
}

// useAt is when a renewed certificate takes over. It is held back for a while
// after it became valid, for peers whose clocks are behind, and after its
// authority came into the bundle, for peers that learn of it later. The old one
// serves meanwhile; one that can't serves for no longer.
func useAt(now, notBefore, trusted time.Time, hold time.Duration, old time.Time) time.Time {
	at := notBefore
	if trusted.After(at) {
		at = trusted
	}
	at = at.Add(hold)
	if !old.After(at) || !at.After(now) {
		return now
	}
	return at
}

// soon is a moment within a span, by chance: when many have the same reason to
// ask, they don't at once.
func soon(now time.Time, span time.Duration, chance float64) time.Time {
	return now.Add(time.Duration(float64(span) * chance))
}
