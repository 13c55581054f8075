// Package gateways measures, on a real cluster, the way from an HTTPRoute in the
// API server to the answer of an Envoy: how long it takes, what it costs, and
// whether anybody else notices. It measures one product after the other.
//
// It owns what is written to the API server, and the clients. It must not know
// how figures are shown, nor how a cluster is made.
package gateways

import (
	"fmt"
	"time"
)

// Case is how much there is in the cluster.
type Case struct {
	Gateways int `json:"gateways"`
	Routes   int `json:"routes"`
}

// String returns the case in words.
func (c Case) String() string {
	if c.Gateways == 1 {
		return fmt.Sprintf("%d routes", c.Routes)
	}
	return fmt.Sprintf("%d routes on %d Gateways", c.Routes, c.Gateways)
}

// Role is what a process is for.
type Role string

// The roles.
const (
	// Agent is Sluice's, on each node; Envoy Gateway has none.
	Agent      Role = "agent"
	Controller Role = "controller"
	// Envoy is the proxy; CPU time counts what minds it in its pod, too.
	Envoy Role = "envoy"
	// Minder is what minds Envoy: its supervisor, or shutdown manager. Only its
	// memory is told apart.
	Minder Role = "minder"
)

// Roles lists the roles whose CPU time is told apart.
func Roles() []Role { return []Role{Agent, Controller, Envoy} }

// MemoryRoles lists the roles whose memory is told apart.
func MemoryRoles() []Role { return append(Roles(), Minder) }

// Kind is a kind of edit.
type Kind string

// The kinds of edits.
const (
	// Change changes what a route does to responses.
	Change Kind = "change"
	// Add makes a route, with a host of its own.
	Add Kind = "add"
	// Remove deletes it.
	Remove Kind = "remove"
)

// Kinds lists the kinds of edits.
func Kinds() []Kind { return []Kind{Change, Add, Remove} }

// Phase is a time in which a steady client asks, by what else happens.
type Phase string

// The phases.
const (
	// Edits is while edits are timed, one after the other.
	Edits Phase = "edits"
	// Churn is while routes are added, changed (the client's own among them) and
	// removed, faster than anybody waits for them.
	Churn Phase = "routes"
	// Rollout is while the client's own backends are replaced.
	Rollout Phase = "rollout"
)

// Phases lists the phases.
func Phases() []Phase { return []Phase{Edits, Churn, Rollout} }

// Edit is one timed edit.
type Edit struct {
	Kind Kind `json:"kind"`
	// Written is the time from just before the request to the API server until it
	// has answered, Seconds until Envoy's first answer that shows the edit.
	Written float64 `json:"written"`
	Seconds float64 `json:"seconds"`
	// Failures counts requests of the one that looks which had no answer, or 5xx.
	Failures int `json:"failures"`
	// Example is the first failure.
	Example string `json:"example,omitempty"`
}

// Requests counts those of the steady client.
type Requests struct {
	Requests int `json:"requests"`
	Failures int `json:"failures"`
	// Examples are the first failures.
	Examples []string `json:"examples,omitempty"`
}

// Sample is what one pass measured of one product in one case.
type Sample struct {
	Case
	Product string `json:"product"`
	Pass    int    `json:"pass"`
	// Failed is why it could not be measured to the end; what is there is right.
	Failed string `json:"failed,omitempty"`
	// Converged is the time from the write of the Gateways, for which all routes
	// wait, until routes spread over all answer; Settled until the product rests,
	// with all statuses written. In seconds.
	Converged float64 `json:"converged"`
	Settled   float64 `json:"settled"`
	Edits     []Edit  `json:"edits"`
	// StartCPU are CPU seconds from the write of the Gateways until it rests,
	// EditCPU those of one edit, IdleCPU those of a second in which nothing changes.
	StartCPU map[Role]float64 `json:"startCPU"`
	EditCPU  map[Role]float64 `json:"editCPU"`
	IdleCPU  map[Role]float64 `json:"idleCPU"`
	// Memory are resident bytes of a role's processes, all together, after the
	// edits, and PeakMemory the most that each had, added up.
	Memory     map[Role]int64 `json:"memory"`
	PeakMemory map[Role]int64 `json:"peakMemory"`
	// Processes are how many processes a role has.
	Processes map[Role]int        `json:"processes"`
	Clients   map[Phase]*Requests `json:"clients"`
	// Envoy is the version that its Envoys tell.
	Envoy string `json:"envoy"`
}

// Result holds all samples.
type Result struct {
	Kubernetes   string    `json:"kubernetes"`
	EnvoyGateway string    `json:"envoyGateway"`
	Samples      []*Sample `json:"samples"`
}

// Plan is a case, and how often each product is started anew in it.
type Plan struct {
	Case
	Passes int
}

// Options say how much to measure.
type Options struct {
	// Plans are measured in this order.
	Plans []Plan
	// Done is told after each trial of all that there is so far.
	Done func(*Result)
	// Edits is how many edits of each kind a pass times, and again how many changes
	// are accounted for CPU time, unless they take longer than Budget.
	Edits  int
	Budget time.Duration
	// Churn is how long routes change in the phase of that name; Rollouts how often
	// the backends are replaced.
	Churn    time.Duration
	Rollouts int
	// Keep says that the cluster is used on: the last product is removed, too.
	Keep bool
	// Only is the product to measure; empty for all.
	Only     string
	Progress func(format string, args ...any)
}
