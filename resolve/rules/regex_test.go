package rules

import (
	"regexp/syntax"
	"strings"
	"testing"
)

// TestRegexSize compares the estimate with what Envoy 1.40.0 says of the same
// expressions.
func TestRegexSize(t *testing.T) {
	for pattern, envoy := range map[string]int{
		"a": 5, "abc": 7, ".": 6, ".*": 6, "/[^/]+": 8, "(?i)abc": 7, `\pL`: 11, `\pL{10}`: 74,
		"[a-z]{1,1000}": 2003, "(?:[a-z]{100}){10}": 1004, `\w+`: 8, `\d{3}`: 7, "[^a]{50}": 104, ".{100}": 204,
		"é": 6, "[à-ÿ]": 5, "(?:foo|bar|baz)+": 12, `[\pL\pN]{20}`: 204, ".{900}": 1804, `\S+`: 9, "(?s:.){100}": 104,
	} {
		re, err := syntax.Parse(latin1(pattern), syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		if got := regexSize(re.Simplify()) + 4; got < envoy*9/10 || got > envoy*11/10+10 {
			t.Errorf("%s: about %d, Envoy says %d", pattern, got, envoy)
		}
	}
}

func TestCheckRegex(t *testing.T) {
	for pattern, want := range map[string]string{
		"/a.*":                              "",
		"é+":                                "",
		"[é-z]":                             "is not valid RE2", // its bytes are out of order
		"(?=a)":                             "is not valid RE2",
		"[a-z]{1,1000}(?:[a-z]{100}){10}.*": "",
		strings.Repeat("[a-z]{1,1000}", 3):  "too large",
	} {
		f := checkRegex(pattern)
		if (f == nil) != (want == "") || f != nil && !strings.Contains(f.Message, want) {
			t.Errorf("%s: %v", pattern, f)
		}
	}
}

func TestCookiePath(t *testing.T) {
	for pattern, want := range map[string]string{
		"/p1/p2/.*/p3": "/p1/p2",
		"/p1/p2":       "/p1/p2",
		"/p.*":         "/",
		"(?i)/p1/.*":   "/",
		"/a|/b":        "/",
		"":             "/",
	} {
		m, _ := pathMatch(nil)
		m.Kind, m.Value = "RegularExpression", pattern
		if got := cookiePath(m); got != want {
			t.Errorf("%s: %s, want %s", pattern, got, want)
		}
	}
}
