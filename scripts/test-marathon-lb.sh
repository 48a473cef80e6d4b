#!/bin/sh
# Starts a cluster and lets a published marathon-lb follow it: `test-marathon-lb.sh path/to/dcos path/to/marathon-lb`.
set -eu

dcos=$1
marathon_lb=${2:-}
ip=${DCOS_BIND:-127.77.0.2}
here=$(cd "$(dirname "$0")" && pwd)

if [ ! -f "$marathon_lb/marathon_lb.py" ]; then
    echo "Name a copy of marathon-lb, such as
    git clone https://github.com/mesosphere/marathon-lb
    make test-third-party MARATHON_LB=\$PWD/marathon-lb" >&2
    exit 1
fi

data=$(mktemp -d)
"$dcos" up --bind "$ip" --data-dir "$data/data" --stop-tasks >"$data/out" 2>"$data/log" &
daemon=$!
trap 'kill $daemon 2>/dev/null || true; wait $daemon || true; rm -rf "$data"' EXIT

tries=0
until curl --silent --fail --output /dev/null "http://$ip:8080/ping"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 150 ] || ! kill -0 $daemon 2>/dev/null; then
        echo "The cluster does not answer; its log:" >&2
        cat "$data/log" >&2
        exit 1
    fi
    sleep 0.2
done
/usr/bin/python3 "$here/../dcos/tests/clients/marathon_lb.py" "http://$ip:8080" "$marathon_lb"
