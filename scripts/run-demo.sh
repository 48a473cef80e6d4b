#!/bin/sh
# Starts a cluster of one machine, deploys a web service of three instances through the public API, waits until it is
# healthy and stays until Ctrl-C. With ONCE=1 it stops by itself, tasks included, once the service has answered.
#   run-demo.sh DCOS_BINARY
#   DCOS_DATA_DIR  where the cluster keeps its data [/var/lib/dcos]
#   DCOS_BIND      address of all its listeners     [127.0.0.1]
set -eu

dcos=$(readlink -f "${1:?usage: run-demo.sh DCOS_BINARY}")
data_dir=${DCOS_DATA_DIR:-/var/lib/dcos}
bind=${DCOS_BIND:-127.0.0.1}
marathon=http://$bind:8080
healthy_secs_max=120

fail() {
    echo "Error: $*" >&2
    exit 1
}

stop_tasks=""
[ "${ONCE:-}" = 1 ] && stop_tasks=--stop-tasks

# In a session of its own, so that Ctrl-C reaches this script only and the cluster is told once.
# shellcheck disable=SC2086 # one word or none
setsid "$dcos" up --data-dir "$data_dir" --bind "$bind" $stop_tasks &
cluster=$!

stop() {
    trap - EXIT TERM HUP
    # Again: at once.
    trap 'kill -INT "$cluster" 2>/dev/null || true' INT
    kill -TERM "$cluster" 2>/dev/null || true
    status=0
    wait "$cluster" || status=$?
    exit "${1:-$status}"
}
trap 'stop 1' EXIT
trap 'stop' INT TERM HUP

# Until the API answers; a cluster that could not start has said why.
tries=0
until curl --silent --fail --output /dev/null "$marathon/ping"; do
    kill -0 "$cluster" 2>/dev/null || { trap - EXIT; wait "$cluster"; }
    tries=$((tries + 1))
    [ "$tries" -lt 300 ] || fail "the cluster did not answer at $marathon within 30 s"
    sleep 0.1
done

app=$(
    cat <<JSON
{
  "id": "/demo/web",
  "args": ["$dcos", "demo-web"],
  "instances": 3,
  "cpus": 0.1,
  "mem": 32,
  "portDefinitions": [{"port": 0, "name": "http"}],
  "healthChecks": [{"protocol": "HTTP", "path": "/health", "portIndex": 0,
    "gracePeriodSeconds": 10, "delaySeconds": 0, "intervalSeconds": 1, "timeoutSeconds": 2}],
  "labels": {"about": "the demo of make run"}
}
JSON
)

if curl --silent --fail --output /dev/null "$marathon/v2/apps/demo/web"; then
    echo "The service /demo/web is still deployed from an earlier run."
else
    echo "Deploying /demo/web with three instances."
    answer=$(curl --silent --show-error --fail-with-body --json "$app" "$marathon/v2/apps") ||
        fail "the API refused the service: $answer"
fi

tries=0
while :; do
    state=$(curl --silent --fail "$marathon/v2/apps/demo/web" || echo '{}')
    summary=$(echo "$state" | jq -r '.app // {} | "\(.tasksHealthy // 0) \(.instances // 0) \(.deployments // [0] | length)"')
    # shellcheck disable=SC2086 # three words
    set -- $summary
    [ "$2" -gt 0 ] && [ "$1" -ge "$2" ] && [ "$3" = 0 ] && break
    kill -0 "$cluster" 2>/dev/null || fail "the cluster ended"
    tries=$((tries + 1))
    [ "$tries" -lt $((healthy_secs_max * 5)) ] ||
        fail "the service is not healthy after $healthy_secs_max s: $1 of $2 instances are"
    sleep 0.2
done

echo
echo "The service is healthy. Its instances, and what answered:"
echo "$state" | jq -r '.app.tasks[] | "\(.host):\(.ports[0]) \(.id)"' | sort | while read -r address task; do
    page=$(curl --silent --show-error --fail "http://$address/") || fail "http://$address/ did not answer"
    case "$page" in
    *"$task"*) echo "  http://$address/  answered as $task" ;;
    *) fail "http://$address/ answered, but not as $task: $page" ;;
    esac
done

[ "${ONCE:-}" = 1 ] && stop 0

url=http://$bind
cat <<TEXT

What to try next, in another terminal:
  alias dcos=$dcos
  dcos cluster setup $url
  dcos marathon app list
  dcos marathon app update /demo/web instances=5 --wait
  dcos task list
  dcos task log demo_web
  dcos task exec -it TASK sh          # the beginning of a task's id will do
  curl $url/service/marathon/v2/apps/demo/web

Ctrl-C stops the cluster and leaves the tasks running; the next 'make run' finds them again.
TEXT
trap - EXIT
status=0
wait "$cluster" || status=$?
exit "$status"
