#!/usr/bin/env bash
# Rewrites the golden files of every package that has a -update flag.
set -euo pipefail
mapfile -t packages < <(grep -rlE --include='*_test.go' 'flag\.Bool\("update"' . | xargs -rn1 dirname | sort -u)
for p in "${packages[@]}"; do
	go test "./$p" -run 'Golden' -update
done
git --no-pager diff --stat
