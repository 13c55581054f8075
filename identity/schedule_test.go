package identity

import (
	"testing"
	"time"
)

func TestRenewAt(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, tc := range []struct {
		left     time.Duration
		chance   float64
		from, to time.Duration
	}{
		{24 * time.Hour, 0, 9 * time.Hour, 10 * time.Hour},
		{24 * time.Hour, 0.5, 12*time.Hour - time.Second, 12*time.Hour + time.Second},
		{24 * time.Hour, 0.999, 14 * time.Hour, 15 * time.Hour},
		{time.Minute, 0, 23 * time.Second, 25 * time.Second}, // what comes in late in its life is not asked for at once
	} {
		if d := renewAt(now, now.Add(tc.left), tc.chance).Sub(now); d < tc.from || d > tc.to {
			t.Errorf("%s left, chance %v: after %s, want %s to %s", tc.left, tc.chance, d, tc.from, tc.to)
		}
	}
}

// TestRenewalGoesByTheWallClock: a clock that is set forward must have what will
// soon be over renewed, although little time has passed.
func TestRenewalGoesByTheWallClock(t *testing.T) {
	now := time.Now() // which also knows how much time has passed
	if at := renewAt(now, now.Add(time.Hour), 0.5); at != at.Round(0) {
		t.Errorf("renewed at %s, by the time that passes", at)
	}
}

func TestPause(t *testing.T) {
	for _, tc := range []struct {
		n        int
		left     time.Duration
		from, to time.Duration
	}{
		{1, 0, time.Second / 2, time.Second},
		{2, 0, time.Second, 2 * time.Second},
		{5, 0, 8 * time.Second, 16 * time.Second},
		{9, 0, 128 * time.Second, 256 * time.Second},
		{10, 0, 150 * time.Second, 300 * time.Second},
		{1 << 30, 0, 150 * time.Second, 300 * time.Second},
		{100, 12 * time.Hour, 150 * time.Second, 300 * time.Second},
		{100, 8 * time.Minute, 30 * time.Second, time.Minute}, // the one that serves is nearly over
		{100, time.Millisecond, time.Second / 2, time.Second},
	} {
		for _, chance := range []float64{0, 0.5, 0.999} {
			if p := pause(tc.n, tc.left, chance); p < tc.from || p > tc.to {
				t.Errorf("failure %d, %s left, chance %v: %s, want %s to %s", tc.n, tc.left, chance, p, tc.from, tc.to)
			}
		}
	}
}

func TestUseAt(t *testing.T) {
	now := time.Unix(1e9, 0)
	at := now.Add
	never := time.Time{}
	const hold = 5 * time.Minute
	for name, tc := range map[string]struct {
		notBefore, trusted, old time.Time
		want                    time.Duration
	}{
		"the first one":                    {now, never, never, 0},
		"a renewed one":                    {now, never, at(time.Hour), hold},
		"one that was backdated":           {at(-hold), never, at(time.Hour), 0},
		"one backdated a little":           {at(-time.Minute), never, at(time.Hour), 4 * time.Minute},
		"of an authority that came now":    {at(-hold), now, at(time.Hour), hold},
		"of an authority that came before": {now, at(-2 * time.Minute), at(time.Hour), hold},
		"the old one is nearly over":       {now, never, at(4 * time.Minute), 0},
		"the old one is over":              {now, now, at(-time.Minute), 0},
		"an issuer whose clock is ahead":   {at(time.Minute), never, at(time.Hour), 6 * time.Minute},
	} {
		if got := useAt(now, tc.notBefore, tc.trusted, hold, tc.old).Sub(now); got != tc.want {
			t.Errorf("%s: after %s, want %s", name, got, tc.want)
		}
	}
}
