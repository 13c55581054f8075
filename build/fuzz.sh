#!/usr/bin/env bash
# Runs each fuzz target of the tree in turn. Usage: fuzz.sh DURATION
set -euo pipefail
grep -rnoE --include='*_test.go' '^func (Fuzz[A-Za-z0-9_]+)' . | while IFS=: read -r file _ decl; do
	target=${decl#func }
	echo "== $(dirname "$file") $target"
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$1" -fuzzminimizetime 10x -parallel 2
done
