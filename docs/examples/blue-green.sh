#!/bin/sh
# Blue/green or canary, over labels: a second app takes the place of the first, in steps.
#
#   blue-green.sh new.json           all at once: start as many as there are, wait until they are healthy, stop the old
#   blue-green.sh new.json 1 3 10    canary: first 1, then 3, then 10 new instances; each step stops as many old ones
#
# new.json is the definition of the app under its plain id, such as /shop/web. The apps that run are called
# /shop/web-blue and /shop/web-green. Both carry HAPROXY_DEPLOYMENT_GROUP, so that marathon-lb serves them as one.
# Between the steps the script asks, unless YES=1; whoever says no gets everything back as it was.
set -eu

[ $# -ge 1 ] || { sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 2; }
definition=$1
shift
id=$(jq --exit-status --raw-output .id "$definition")
secs_max=${SECS_MAX:-300}

instances_of() { dcos marathon app show "$1" 2>/dev/null | jq .instances || true; }
ask() {
    [ "${YES:-}" = 1 ] && return 0
    printf '%s [y/N] ' "$1"
    read -r answer && [ "$answer" = y ]
}

old="" new="$id-blue"
if [ -n "$(instances_of "$id-blue")" ]; then old="$id-blue" new="$id-green"; fi
if [ -n "$(instances_of "$id-green")" ]; then
    [ -z "$old" ] || { echo "Both $id-blue and $id-green exist: remove the one that is not wanted." >&2; exit 1; }
    old="$id-green" new="$id-blue"
fi
before=0
[ -z "$old" ] || before=$(instances_of "$old")
goal=$before
[ "$before" -gt 0 ] || goal=$(jq '.instances // 1' "$definition")
[ $# -gt 0 ] || set -- "$goal"

back() {
    echo "Going back to ${old:-nothing}."
    [ -z "$old" ] || dcos marathon app update "$old" instances="$before" --force --wait --timeout "$secs_max"
    dcos marathon app remove "$new" --force --wait
    exit 1
}

step=$1
[ "$step" -le "$goal" ] || step=$goal
jq --arg id "$new" --arg group "$id" --arg color "${new##*-}" --argjson n "$step" \
    '.id = $id | .instances = $n | .labels += {HAPROXY_DEPLOYMENT_GROUP: $group, HAPROXY_DEPLOYMENT_COLOUR: $color}' \
    "$definition" | dcos marathon app add --wait --timeout "$secs_max" || back
while :; do
    if [ -n "$old" ]; then
        dcos marathon app update "$old" instances=$((before > step ? before - step : 0)) --wait --timeout "$secs_max" || back
    fi
    echo "$new has $step of $goal instances."
    [ "$step" -lt "$goal" ] || break
    [ $# -gt 1 ] && shift
    if [ "$1" -gt "$step" ] && [ "$1" -lt "$goal" ]; then step=$1; else step=$goal; fi
    ask "Go on with $step?" || back
    dcos marathon app update "$new" instances="$step" --wait --timeout "$secs_max" || back
done
if [ -n "$old" ]; then
    ask "Remove $old?" || back
    dcos marathon app remove "$old" --wait
fi
