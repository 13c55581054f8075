#!/usr/bin/env bash
# Installs the Debian packages that a make target needs, by name, and only those
# that are missing. Usage: deps.sh run|test|generate|bench|cluster
set -euo pipefail
case ${1:-run} in
run) packages=(iproute2 nftables procps python3 ca-certificates) ;;
test) packages=(iproute2 nftables procps python3 curl ca-certificates gcc libc6-dev) ;; # the race detector wants cgo
generate) packages=(clang llvm libbpf-dev linux-libc-dev) ;;
bench) packages=(iproute2 nftables iptables clang libc6-dev procps) ;;
cluster) packages=(containerd runc containernetworking-plugins iptables nftables) ;;
*) echo "usage: $0 run|test|generate|bench|cluster" >&2; exit 2 ;;
esac

missing=()
for p in "${packages[@]}"; do
	dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null | grep -qx installed || missing+=("$p")
done
[ ${#missing[@]} -eq 0 ] && exit 0
if [ "$(id -u)" != 0 ]; then
	echo "these packages are missing: ${missing[*]}; install them, or run this target as root" >&2
	exit 1
fi
echo "installing: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
