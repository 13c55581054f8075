package netns

import (
	"fmt"
	"math"
	"strconv"
	"testing"
)

// mirrored asks a server directly how many requests with a key it has seen.
func (c *client) mirrored(t *testing.T, server, key string) int {
	t.Helper()
	pod := c.s.services[server].Endpoints[0]
	a := c.get(t, 4, request{To: fmt.Sprintf("http://%s:8080/count/%s", pod.V4, key)})
	n, err := strconv.Atoi(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestMirrors proves that copies of requests go to several mirrors, each with
// its own share, that the answers come from the backend alone, and that a mirror
// that is broken or slow disturbs nobody.
func TestMirrors(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.each("front", "all", "half", "few")
	s.service("nobody")
	s.service("slow", s.server("slow", "--slow", "30s")) // longer than a request may take
	c := s.client("client")
	s.apply("route", httpRoute("mirrors", "front", `
  - filters:
    - {type: RequestMirror, requestMirror: {backendRef: {name: all, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: half, port: 80}, percent: 50}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: few, port: 80}, fraction: {numerator: 1, denominator: 10}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: nobody, port: 80}}}
    - {type: RequestMirror, requestMirror: {backendRef: {name: slow, port: 80}, percent: 5}}
    backendRefs: [{name: front, port: 80}]
`))
	s.settle()
	const n = 400
	families(t, func(t *testing.T, family int) {
		key := fmt.Sprintf("key-%d", family)
		assertShares(t, n, map[string]int{"front": 1}, func() string {
			return c.getName(family, request{To: "http://front/", Method: "POST", Body: "text", Header: []string{"X-Key: " + key}})
		})
		for server, share := range map[string]float64{"front": 1, "all": 1, "half": .5, "few": .1, "slow": .05} {
			slack := 5 * math.Sqrt(n*share*(1-share))
			s.eventually("the mirrors' share", func() error {
				if got := c.mirrored(t, server, key); math.Abs(float64(got)-n*share) > slack {
					return fmt.Errorf("%s saw %d of %d, want %.0f±%.0f", server, got, n, n*share, slack)
				}
				return nil
			})
		}
	})
}
