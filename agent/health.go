package agent

import (
	"errors"
	"fmt"
	"time"

	"sluice.io/sluice/observe/health"
)

// stuck is how long the loop may be silent. It answers every second, and waits
// for Envoy for warmTimeout at most.
const stuck = time.Minute

// Health answers probes: the agent lives while its loop goes round, and is ready
// when the input is in force in the kernel. Envoy has probes of its own.
func (a *Agent) Health() health.Checks {
	return health.Checks{Live: a.live, Ready: a.ready}
}

func (a *Agent) live() error {
	// Zero is before the first round: reading the input may take its time.
	if at := a.beat.Load(); at != 0 && time.Since(time.Unix(0, at)) > stuck {
		return fmt.Errorf("the loop has been silent since %s", time.Unix(0, at).Format(time.RFC3339))
	}
	return nil
}

func (a *Agent) ready() error {
	if a.state.starting() {
		return errors.New(a.reading())
	}
	if a.state.kernelFailed() {
		return errors.New("the kernel could not be programmed")
	}
	return nil
}
