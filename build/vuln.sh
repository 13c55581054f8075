#!/usr/bin/env bash
# Runs govulncheck. Its database is a web service: where that cannot be reached,
# it says so and passes, since no verdict is possible. Usage: vuln.sh VERSION
set -euo pipefail
if out=$(go run "golang.org/x/vuln/cmd/govulncheck@$1" ./... 2>&1); then
	echo "$out"
	exit 0
fi
# What govulncheck says when it has no database, and no finding.
if ! grep -q '^Vulnerability #' <<<"$out" && grep -qE '^govulncheck: (fetching vulnerabilities|.*vuln\.go\.dev)' <<<"$out"; then
	echo "govulncheck: the vulnerability database cannot be reached from here: not checked"
	exit 0
fi
echo "$out"
exit 1
