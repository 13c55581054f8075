package agent

import (
	"errors"
	"time"

	"sluice.io/sluice/observe/health"
)

// stuck is how long the loop may be silent. It goes round every second, also while it
// waits for the input, and waits for Envoy for connectTimeout and warmTimeout at most.
const stuck = time.Minute

// Health answers probes: the agent lives while its loop goes round, and is ready
// when the input is in force in the kernel. Envoy has probes of its own.
func (a *Agent) Health() health.Checks {
	return health.Checks{Live: a.live, Ready: a.ready}
}

func (a *Agent) live() error { return a.pulse.Check("the agent", stuck) }

func (a *Agent) ready() error {
	if a.state.starting() {
		return errors.New(a.reading())
	}
	if a.state.kernelFailed() {
		return errors.New("the kernel could not be programmed")
	}
	return nil
}
