#!/usr/bin/python3
"""Drives a cluster with Debian's python3-marathon: create, scale, list, kill, deployments, event stream.

usage: marathon_client.py http://127.0.0.1:8080
"""

import sys
import threading
import time

from marathon import MarathonClient, MarathonHttpError, NotFoundError
from marathon.models import MarathonApp, MarathonHealthCheck

WAIT_SECS_MAX = 60
POLL_SECS = 0.05


def wait(what, condition):
    deadline = time.monotonic() + WAIT_SECS_MAX
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(POLL_SECS)
    sys.exit(f"never happened: {what}")


def gone(client, app_id):
    try:
        client.get_app(app_id)
    except NotFoundError:
        return True
    return False


def follow(client, seen):
    for event in client.event_stream():
        seen.append(event.event_type)


def main(url):
    client = MarathonClient([url])
    assert client.ping() == b"pong" or client.ping() == "pong", client.ping()
    info = client.get_info()
    assert info.name == "marathon", info

    seen = []
    threading.Thread(target=follow, args=(client, seen), daemon=True).start()
    wait("the event stream is open", lambda: "event_stream_attached" in seen)

    app = MarathonApp(
        id="/py/sleeper",
        cmd="exec sleep 1000",
        cpus=0.01,
        mem=16,
        instances=2,
        labels={"made": "by python"},
        health_checks=[MarathonHealthCheck(protocol="COMMAND", command={"value": "true"}, delay_seconds=0, interval_seconds=1)],
    )
    created = client.create_app("/py/sleeper", app)
    assert created.id == "/py/sleeper" and created.instances == 2, created
    try:
        client.create_app("/py/sleeper", app)
        sys.exit("an app can be created twice")
    except MarathonHttpError as error:
        assert error.status_code == 409, error

    wait("two tasks run", lambda: client.get_app("/py/sleeper").tasks_running == 2)
    wait("no deployment is left", lambda: not client.list_deployments())
    assert [one.id for one in client.list_apps(label="made")] == ["/py/sleeper"]
    assert client.list_apps(cmd="no such command") == []

    scaled = client.scale_app("/py/sleeper", instances=3)
    assert scaled["deploymentId"] and scaled["version"], scaled
    wait("three tasks run", lambda: len(client.list_tasks("/py/sleeper")) == 3)
    wait("no deployment is left", lambda: not client.list_deployments())

    before = {task.id for task in client.list_tasks("/py/sleeper")}
    killed = sorted(before)[0]
    client.kill_task("/py/sleeper", killed)
    wait(
        "the killed task is replaced",
        lambda: killed not in (now := {task.id for task in client.list_tasks("/py/sleeper")}) and len(now) == 3,
    )

    client.update_app("/py/sleeper", MarathonApp(env={"COLOR": "blue"}))
    wait("the update is over", lambda: not client.list_deployments())
    assert client.get_app("/py/sleeper").env == {"COLOR": "blue"}
    versions = client.list_versions("/py/sleeper")
    assert len(versions) >= 3, versions
    assert client.get_version("/py/sleeper", versions[-1]).id == "/py/sleeper"

    too_big = MarathonApp(id="/py/big", cmd="true", cpus=10000, mem=16, instances=1)
    client.create_app("/py/big", too_big)
    deployment = wait("its deployment is listed", lambda: client.list_deployments())[0]
    assert "/py/big" in deployment.affected_apps, deployment
    client.delete_deployment(deployment.id, force=True)
    wait("no deployment is left", lambda: not client.list_deployments())

    for app_id in ["/py/big", "/py/sleeper"]:
        client.delete_app(app_id, force=True)
        wait(f"{app_id} is gone", lambda: gone(client, app_id))

    for event_type in ["api_post_event", "deployment_info", "deployment_success", "status_update_event"]:
        wait(f"{event_type} was sent", lambda: event_type in seen)
    print("all well:", len(seen), "events")


main(sys.argv[1])
