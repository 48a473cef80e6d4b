#!/bin/sh
# Installs what is missing, from Debian or Ubuntu packages: `install-deps.sh run`, `test` or `third-party`.
# Quiet and quick if everything is there.
set -eu

# Building needs a C compiler (aws-lc, mimalloc, zstd), cmake is not needed; the rest is for the demo script.
run="gcc libc6-dev make pkg-config libseccomp-dev curl jq"
# A registry, tools that make and push images, and the programs that run in them.
test="docker-registry skopeo umoci nginx-light redis-server python3 python3-marathon busybox-static procps docker.io e2fsprogs xfsprogs"
# What marathon_lb.py imports and starts, and what it takes to build a module of Python for pymesos.
third_party="python3-dev haproxy openssl python3-venv python3-pycurl python3-requests python3-dateutil python3-jwt python3-six"

case "${1:-}" in
run) wanted="$run" ;;
test) wanted="$run $test" ;;
third-party) wanted="$run $third_party" ;;
*)
    echo "usage: $0 run|test|third-party" >&2
    exit 2
    ;;
esac

if [ "$(id -u)" != 0 ]; then
    echo "Containers need namespaces, cgroups and mounts: run this as root, such as 'sudo -E make ${1}'." >&2
    exit 1
fi
if ! command -v cargo >/dev/null; then
    echo "There is no Rust toolchain: https://rustup.rs installs one, and then 'make ${1}' goes on." >&2
    exit 1
fi
if ! command -v dpkg-query >/dev/null; then
    echo "This is neither Debian nor Ubuntu. Install the equivalents of: $wanted" >&2
    exit 1
fi

missing=""
for package in $wanted; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -z "$missing" ] && exit 0

echo "Installing$missing"
export DEBIAN_FRONTEND=noninteractive
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# Nothing of this is to run as a service: tests start their own on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$log" "$policy"' EXIT
fi
# shellcheck disable=SC2086 # a list of words
if ! { apt-get install --yes --quiet --no-install-recommends $missing ||
    { apt-get update --quiet && apt-get install --yes --quiet --no-install-recommends $missing; }; } >"$log" 2>&1; then
    cat "$log" >&2
    echo "Installing$missing failed; the lines above say why." >&2
    exit 1
fi
