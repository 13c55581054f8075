#!/usr/bin/env bash
# Shows Sluice live in this terminal, as root; `make demo` builds bin/sluice and calls this.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .cache/demo
go build -o .cache/demo/ ./demo ./test/apps/testapp
exec .cache/demo/demo -sluice bin/sluice -testapp .cache/demo/testapp "$@"
