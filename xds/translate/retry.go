package translate

import (
	"time"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	previoushostsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/retry/host/previous_hosts/v3"
	"google.golang.org/protobuf/types/known/durationpb"

	"sluice.io/sluice/model"
)

// patience sets an action's timeouts and retries. Without a timeout in the rule
// there is none: not Envoy's default of 15 seconds either, which the application
// never asked for.
func patience(a *routev3.RouteAction, r *model.HTTPRule) {
	whole, attempt := given(r.Timeouts.Request), given(r.Timeouts.BackendRequest)
	a.RetryPolicy = unsent
	if r.Retry != nil {
		a.RetryPolicy = retries(r.Retry)
		if attempt > 0 {
			a.RetryPolicy.PerTryTimeout = durationpb.New(attempt)
		}
	} else if attempt > 0 && (whole == 0 || attempt < whole) {
		whole = attempt
	}
	a.Timeout = durationpb.New(whole)
}

func given(d *time.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return *d
}

// unsent repeats attempts that the endpoint cannot have seen: the connection
// failed, the stream was refused, or it broke before the request was written. It
// does not look for another endpoint: nobody asked for retries, and to remember
// where a request has been costs each request, failed or not.
var unsent = &routev3.RetryPolicy{
	RetryOn:    "connect-failure,refused-stream,reset-before-request",
	NumRetries: u32(2),
}

// elsewhere prefers endpoints that have not failed this request yet.
var elsewhere = []*routev3.RetryPolicy_RetryHostPredicate{{
	Name: "envoy.retry_host_predicates.previous_hosts",
	ConfigType: &routev3.RetryPolicy_RetryHostPredicate_TypedConfig{
		TypedConfig: typed(&previoushostsv3.PreviousHostsPredicate{}),
	},
}}

// retries repeats attempts that failed at the connection, timed out, or were
// answered with one of the codes.
func retries(r *model.HTTPRetry) *routev3.RetryPolicy {
	p := &routev3.RetryPolicy{
		RetryOn:                       "connect-failure,refused-stream,reset",
		NumRetries:                    u32(r.Attempts),
		RetryHostPredicate:            elsewhere,
		HostSelectionRetryMaxAttempts: 5,
	}
	if len(r.Codes) > 0 {
		p.RetryOn += ",retriable-status-codes"
		p.RetriableStatusCodes = r.Codes
	}
	if r.Backoff > 0 {
		p.RetryBackOff = &routev3.RetryPolicy_RetryBackOff{BaseInterval: durationpb.New(r.Backoff)}
	}
	return p
}
