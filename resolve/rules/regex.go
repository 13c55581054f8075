package rules

import (
	"regexp/syntax"
	"unicode/utf8"

	"sluice.io/sluice/resolve/finding"
)

// maxRegexSize bounds the size of a compiled regular expression, in RE2's
// instructions. Envoy is told the same bound.
const maxRegexSize = 5000

// checkRegex refuses what Envoy's engine refuses: RE2, whose syntax is Go's, and
// which Envoy runs on bytes.
func checkRegex(pattern string) *finding.Finding {
	re, err := syntax.Parse(latin1(pattern), syntax.Perl)
	if err != nil {
		return finding.Unsupported("regular expression %q is not valid RE2: %v", pattern, err)
	}
	if n := regexSize(re.Simplify()); n > maxRegexSize {
		return finding.Unsupported("regular expression %.40q... is too large: about %d instructions of at most %d", pattern, n, maxRegexSize)
	}
	return nil
}

// latin1 writes each byte as the character of that number, so that Go reads an
// expression byte by byte as Envoy does.
func latin1(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			runes := make([]rune, len(s))
			for j := range len(s) {
				runes[j] = rune(s[j])
			}
			return string(runes)
		}
	}
	return s
}

// regexSize estimates the number of instructions that RE2 needs for a simplified
// expression over bytes.
func regexSize(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n += regexSize(sub)
	}
	switch re.Op {
	case syntax.OpLiteral:
		n = len(re.Rune)
	case syntax.OpCharClass:
		n = 0
		for i := 0; i+1 < len(re.Rune) && re.Rune[i] <= 0xff; i += 2 {
			n++
		}
	case syntax.OpAnyCharNotNL:
		n = 2
	case syntax.OpConcat:
		n--
	case syntax.OpAlternate:
		n += len(re.Sub) - 2
	}
	return n
}
