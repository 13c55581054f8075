package translate

import (
	"regexp"
	"strconv"
	"strings"

	corsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/cors/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"sluice.io/sluice/model"
)

// cors is what the CORS filter does on a route. Preflight requests of origins
// that are not allowed end at Envoy too, without an allowing answer. A star in
// methods and headers is answered with what the request asks for.
func cors(c *model.CORS) *corsv3.CorsPolicy {
	p := &corsv3.CorsPolicy{
		AllowMethods:                 strings.Join(c.AllowMethods, ", "),
		AllowHeaders:                 strings.Join(c.AllowHeaders, ", "),
		ExposeHeaders:                strings.Join(c.ExposeHeaders, ", "),
		AllowCredentials:             wrapperspb.Bool(c.AllowCredentials),
		ForwardNotMatchingPreflights: no,
		MaxAge:                       maxAge(c),
	}
	for _, o := range c.AllowOrigins {
		p.AllowOriginStringMatch = append(p.AllowOriginStringMatch, origin(o))
	}
	return p
}

func maxAge(c *model.CORS) string {
	if c.MaxAge <= 0 {
		return ""
	}
	return strconv.FormatInt(int64(c.MaxAge.Seconds()), 10)
}

// origin matches an origin; a star stands for any number of characters.
func origin(o string) *matcherv3.StringMatcher {
	if !strings.Contains(o, "*") {
		return exactly(o)
	}
	pattern := strings.ReplaceAll(regexp.QuoteMeta(o), `\*`, ".*")
	return &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{SafeRegex: regex(pattern)}}
}
