package envoy

import (
	"context"
	"fmt"
	"os/exec"
	"regexp"
	"strconv"
)

// The versions of Envoy that Sluice is tested with: from MinVersion up to, and
// not including, EndVersion. Older ones lack parts of the hand-off; what is in
// newer ones is not known.
const (
	MinVersion = "1.40.0"
	EndVersion = "1.41.0"
)

var versionPattern = regexp.MustCompile(`/(\d+)\.(\d+)\.(\d+)(-[\w.]+)?/`)

// CheckVersion asks a binary for its version, and returns it. The error of a
// version that is not supported says which are.
func CheckVersion(ctx context.Context, binary string) (string, error) {
	out, err := exec.CommandContext(ctx, binary, "--version").Output()
	if err != nil {
		return "", fmt.Errorf("ask %s for its version: %w", binary, err)
	}
	m := versionPattern.FindStringSubmatch(string(out))
	if m == nil {
		return "", fmt.Errorf("%s does not tell Envoy's version: it says %.80q", binary, out)
	}
	version := m[1] + "." + m[2] + "." + m[3]
	if number(version) < number(MinVersion) || number(version) >= number(EndVersion) {
		return version, fmt.Errorf("%s is Envoy %s: Sluice needs at least %s and less than %s", binary, version, MinVersion, EndVersion)
	}
	return version, nil
}

// number orders versions whose parts are below 1,000.
func number(version string) int {
	n := 0
	for _, p := range regexp.MustCompile(`\d+`).FindAllString(version, 3) {
		v, err := strconv.Atoi(p)
		if err != nil {
			return 0
		}
		n = n*1000 + min(v, 999)
	}
	return n
}
