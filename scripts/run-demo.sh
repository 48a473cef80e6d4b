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

# Tells how many instances are wanted, how many are healthy, how many deployments are under way; then each task.
look() {
    curl --silent --fail "$marathon/v2/apps/demo/web" | jq -r '.app |
        "\(.instances) \(.tasksHealthy) \(.deployments | length)", (.tasks[] | "\(.host):\(.ports[0]) \(.id)")'
}

# Fails unless the service is healthy and every instance answers as itself. After a restart the first look shows what
# was known before, so it is the answers that count.
all_answer() {
    read -r wanted healthy deployments || return 1
    [ "$healthy" = "$wanted" ] && [ "$deployments" = 0 ] || return 1
    while read -r address task; do
        page=$(curl --silent --fail --max-time 2 "http://$address/") || return 1
        case "$page" in
        *"$task"*) echo "  http://$address/  answered as $task" ;;
        *) return 1 ;;
        esac
    done
}

tries=0
until answers=$(look | all_answer); do
    kill -0 "$cluster" 2>/dev/null || fail "the cluster ended"
    tries=$((tries + 1))
    [ "$tries" -lt $((healthy_secs_max * 5)) ] ||
        fail "the service is not healthy after $healthy_secs_max s: $(curl --silent "$marathon/v2/apps/demo/web")"
    sleep 0.2
done

echo
echo "The service is healthy. Its instances, and what answered:"
echo "$answers"

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
