#!/bin/sh
# What the guest of test-cgroup2.sh is asked, as `check.sh systemd` or `check.sh bare`. Writes a line for each answer.
set -u
kind=$1
url=http://127.0.0.1
export DCOS_URL=$url DCOS_DIR=/var/check/user
mkdir -p /var/check
failed=0

say() { echo "CHECK $kind: $*"; }
ok() { say "ok: $*"; }
bad() {
    say "FAILED: $*"
    [ $failed = 1 ] || { journalctl -u dcos --no-pager 2>/dev/null || cat /var/log/dcos.log; } | tail -40
    failed=1
}
expect() { # what, expected, actual
    if [ "$2" = "$3" ]; then ok "$1"; else bad "$1: expected '$2', got '$3'"; fi
}
until_true() { # what, command ...
    what=$1; shift
    deadline=$(($(date +%s) + 180))
    while ! "$@" >/dev/null 2>&1; do
        if [ "$(date +%s)" -ge $deadline ]; then bad "$what"; return 1; fi
        sleep 0.5
    done
    ok "$what"
}

start() {
    case $kind in
    systemd) systemctl start dcos ;;
    bare) setsid dcos up >>/var/log/dcos.log 2>&1 & ;;
    esac
    until_true "the cluster has its agent" is_up
}
stop() {
    case $kind in
    systemd) systemctl stop dcos ;;
    bare) kill "$(daemon)"; while [ -n "$(daemon)" ]; do sleep 0.1; done ;;
    esac
}
daemon() { pgrep -f '^[^ ]*dcos up' | head -1; }
is_up() { curl -s $url:5050/state-summary | grep -q '"active":true'; }
app() { curl -sf -X POST $url:8080/v2/apps -H 'content-type: application/json' -d "$1" >/dev/null || bad "POST $1"; }
delete() { curl -sf -X DELETE "$url:8080/v2/apps/$1?force=true" >/dev/null; until_true "nothing of $1 is left" no_task "$1"; }
no_task() { [ -z "$(task_of "$1")" ]; }
task_of() { dcos task list --quiet "$1" | head -1; }
runs() { dcos task list "$1" | grep -q TASK_RUNNING; }
container_of() { curl -s $url:5051/containers | python3 -c '
import json, sys
for one in json.load(sys.stdin):
    if sys.argv[1] in one["executor_id"]: print(one["container_id"])' "$1" | head -1; }
group_of() { find /sys/fs/cgroup -type d -name "$(container_of "$1")" | head -1; }
pid_of() { head -1 "$(group_of "$1")/cgroup.procs"; }
failure() { curl -s "$url:8080/v2/apps/$1?embed=app.lastTaskFailure"; }
failed_with() { failure "$1" | grep -q "$2"; }

machine() {
    expect "the machine has version 2 only" cgroup2fs "$(stat -fc %T /sys/fs/cgroup)"
    expect "no controller is of version 1" "" "$(grep ' - cgroup ' /proc/self/mountinfo)"
}

limits() {
    app '{"id":"/limits","cmd":"exec sleep 1000","cpus":0.5,"mem":64}'
    until_true "an app runs" runs limits
    group=$(group_of limits)
    expect "memory.max" 67108864 "$(cat "$group/memory.max")"
    expect "memory.swap.max" 0 "$(cat "$group/memory.swap.max" 2>/dev/null || echo 0)"
    expect "cpu.max" "50000 100000" "$(cat "$group/cpu.max")"
    [ -s "$group/pids.max" ] && ok "pids are counted" || bad "pids are counted"
    expect "exec runs inside" inside "$(dcos task exec "$(task_of limits)" echo inside)"
    dcos task exec "$(task_of limits)" sh -c 'exit 7'
    expect "exec tells how it ended" 7 $?
    echo typed >/var/check/typed
    expect "exec is typed into" typed "$(dcos task exec -i "$(task_of limits)" cat </var/check/typed)"
    dcos task exec "$(task_of limits)" sleep 77 &
    exec_pid=$!
    until_true "exec is in the container's group" in_group "$group" 'sleep 77'
    kill $exec_pid
    curl -s $url:5051/monitor/statistics | grep -q '"mem_rss_bytes":[1-9]' && ok "memory is measured" || bad "memory is measured"
}
in_group() { for pid in $(cat "$1/cgroup.procs"); do tr '\0' ' ' <"/proc/$pid/cmdline" | grep -q "^$2" && return 0; done; return 1; }

ends() {
    app '{"id":"/oom","cmd":"exec python3 -c \"x = bytearray(300 << 20); import time; time.sleep(1000)\"","cpus":0.5,"mem":64,"backoffSeconds":600}'
    until_true "too much memory ends a task and says so" failed_with oom 'Memory limit exceeded'
    delete oom
    app '{"id":"/busy","cmd":"while :; do :; done","cpus":0.2,"mem":32}'
    until_true "a busy app runs" runs busy
    until_true "it is throttled" throttled busy
    delete busy
    app '{"id":"/frozen","cmd":"exec sleep 1000","cpus":0.1,"mem":32}'
    until_true "an app to be frozen runs" runs frozen
    echo 1 >"$(group_of frozen)/cgroup.freeze"
    delete frozen
    app '{"id":"/outside","cmd":"exec sleep 1000","cpus":0.1,"mem":32,"backoffSeconds":600}'
    until_true "an app to be killed runs" runs outside
    echo 1 >"$(group_of outside)/cgroup.kill"
    until_true "a group killed from outside is a failed task" failed_with outside TASK_FAILED
    delete outside
}
throttled() { awk '$1 == "nr_throttled" { exit $2 == 0 }' "$(group_of "$1")/cpu.stat"; }

pods() {
    curl -sf -X POST $url:8080/v2/pods -H 'content-type: application/json' -d '{"id":"/pod","containers":[
        {"name":"a","exec":{"command":{"shell":"sleep 1000"}},"resources":{"cpus":0.1,"mem":32}},
        {"name":"b","exec":{"command":{"shell":"sleep 1000"}},"resources":{"cpus":0.1,"mem":48}}]}' >/dev/null || bad "POST pod"
    until_true "a pod is stable" pod_is STABLE
    curl -sf -X DELETE $url:8080/v2/pods/pod >/dev/null
    until_true "nothing of the pod is left" no_task pod
}
pod_is() { curl -s $url:8080/v2/pods/pod::status | grep -q "\"status\":\"$1\""; }

outlives() {
    pid=$(pid_of limits)
    task=$(task_of limits)
    stop
    [ -d "/proc/$pid" ] && ok "a task outlives its daemon" || bad "a task outlives its daemon"
    start
    until_true "it runs" runs limits
    expect "it is the same task" "$task" "$(task_of limits)"
    expect "it is the same process" "$pid" "$(pid_of limits)"
    kill -9 "$(daemon)"
    if [ "$kind" = bare ]; then start; else until_true "the unit starts again after kill -9" is_up; fi
    until_true "it runs after kill -9" runs limits
    expect "it is the same process after kill -9" "$pid" "$(pid_of limits)"
    [ "$kind" = systemd ] || return 0
    systemctl restart dcos
    until_true "the cluster is up after a restart of the unit" is_up
    until_true "it runs after a restart of the unit" runs limits
    expect "it is the same process after a restart of the unit" "$pid" "$(pid_of limits)"
    systemctl daemon-reload
    systemctl daemon-reexec
    systemctl set-property --runtime cron.service MemoryMax=1G 2>/dev/null
    group=$(group_of limits)
    expect "systemd leaves the limits alone" "67108864 50000 100000" "$(cat "$group/memory.max") $(cat "$group/cpu.max")"
    case $(cat /proc/"$(daemon)"/cgroup) in
    *dcos.service*) ok "the daemon is in its unit" ;;
    *) bad "the daemon is in its unit: $(cat /proc/"$(daemon)"/cgroup)" ;;
    esac
    app '{"id":"/later","cmd":"exec sleep 1000","cpus":0.1,"mem":32}'
    until_true "an app is launched after that" runs later
    expect "with its limit" 33554432 "$(cat "$(group_of later)/memory.max")"
    delete later
}

after_reboot() {
    until_true "the cluster is up after a reboot" is_up
    until_true "the app runs again" runs limits
    [ "$(task_of limits)" != "$(cat /var/check/task)" ] && ok "it is another task" || bad "it is another task"
    until_true "the reboot is told" failed_with limits "rebooted"
    say "$(failure limits | grep -o '"lastTaskFailure":{[^}]*}')"
}

clean() {
    delete limits
    stop
    expect "no group is left" "" "$(find /sys/fs/cgroup -path '*/dcos/*' -type d | grep -v '/shims$')"
    expect "no process is left" "" "$(pgrep -a -f 'sleep 1000|dcos-shim')"
    expect "no run directory is left" "" "$(ls /run/dcos)"
}

machine
case $kind in
systemd)
    if [ -e /var/check/task ]; then
        after_reboot
        clean
    else
        until_true "the unit comes up" is_up
        limits
        ends
        pods
        outlives
        task_of limits >/var/check/task
        say "reboots"
        sync
        systemctl reboot
        exit 0
    fi
    ;;
bare)
    start
    limits
    ends
    pods
    outlives
    clean
    ;;
esac
[ $failed = 0 ] && say "all is well" || say "something FAILED"
sync
case $kind in
systemd) systemctl poweroff ;;
bare) echo o >/proc/sysrq-trigger; sleep 60 ;;
esac
