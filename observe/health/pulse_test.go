package health_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sluice.io/sluice/observe/health"
)

func TestPulse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p health.Pulse
		time.Sleep(time.Hour)
		if err := p.Check("work", time.Minute); err != nil {
			t.Errorf("before it began: %v", err)
		}
		p.Beat()
		time.Sleep(time.Minute)
		if err := p.Check("work", time.Minute); err != nil {
			t.Errorf("in time: %v", err)
		}
		time.Sleep(time.Nanosecond)
		if err := p.Check("work", time.Minute); err == nil || !strings.Contains(err.Error(), "work") {
			t.Errorf("too late: %v", err)
		}
		p.Beat()
		if err := p.Check("work", time.Minute); err != nil {
			t.Errorf("again: %v", err)
		}
		p.Rest()
		time.Sleep(time.Hour)
		if err := p.Check("work", time.Minute); err != nil {
			t.Errorf("at rest: %v", err)
		}
	})
}
