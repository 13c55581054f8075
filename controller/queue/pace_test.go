package queue

import (
	"testing"
	"time"
)

// TestWritesAreSpread: some at once, then one in a while, and some at once again
// after a pause.
func TestWritesAreSpread(t *testing.T) {
	var p Pacer
	now := time.Unix(1e9, 0)
	write := func(after, want time.Duration) {
		t.Helper()
		now = now.Add(after)
		if got := p.Wait(now); got != want {
			t.Fatalf("at %s it waits %s, want %s", now, got, want)
		} else if got == 0 {
			p.Wrote(now)
		}
	}
	for range MaxBurst {
		write(0, 0)
	}
	write(0, Pace)
	write(Pace/5, Pace*4/5)
	write(Pace*4/5, 0)
	write(Pace/2, Pace/2)
	write(3*Pace, 0)
	write(0, 0)
}

// TestFightsAreGivenUp, more and more, and taken up when it was calm.
func TestFightsAreGivenUp(t *testing.T) {
	var c Contest
	now := time.Unix(1e9, 0)
	for i := range Patience {
		if wait, news := c.Wait(now); wait != 0 || news {
			t.Fatalf("write %d waits %s", i, wait)
		}
		c.Wrote(now)
	}
	if wait, news := c.Wait(now); wait != time.Second || !news {
		t.Fatalf("then it waits %s, news %v", wait, news)
	}
	if _, news := c.Wait(now); news {
		t.Error("it is news twice")
	}
	var last time.Duration
	for range 20 {
		wait, _ := c.Wait(now)
		if wait < last || wait > calm/2 {
			t.Fatalf("it waits %s after %s", wait, last)
		}
		last = wait
		now = now.Add(wait)
		c.Wrote(now)
	}
	if last != calm/2 {
		t.Errorf("it waits %s at most, want %s", last, calm/2)
	}
	c.Undo()
	now = now.Add(calm + time.Second)
	if !c.Calm(now) {
		t.Error("it is not calm")
	}
	if wait, _ := c.Wait(now); wait != 0 {
		t.Errorf("after a calm it waits %s", wait)
	}
}
