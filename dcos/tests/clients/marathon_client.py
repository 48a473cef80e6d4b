#!/usr/bin/python3
"""Drives a cluster with Debian's python3-marathon: every public method of its client is called at least once.

usage: marathon_client.py http://127.0.0.1:8080
"""

import inspect
import sys
import threading
import time

from marathon import MarathonClient, MarathonHttpError, NotFoundError
from marathon.models import MarathonApp, MarathonGroup, MarathonHealthCheck

WAIT_SECS_MAX = 60
POLL_SECS = 0.05
# Longer than a killed task takes to end under load.
ANSWER_SECS_MAX = 60


class Client(MarathonClient):
    """The client as it is, which notes what it is asked to do."""

    def __init__(self, url):
        self.called = set()
        super().__init__([url], timeout=ANSWER_SECS_MAX)

    def __getattribute__(self, name):
        if not name.startswith("_") and name != "called":
            self.called.add(name)
        return super().__getattribute__(name)


def wait(what, condition):
    deadline = time.monotonic() + WAIT_SECS_MAX
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(POLL_SECS)
    sys.exit(f"never happened: {what}")


def refused(status, call):
    try:
        answer = call()
    except MarathonHttpError as error:
        assert error.status_code == status, error
        return
    sys.exit(f"not refused with {status}, but answered with {answer}")


def too_new(field, call):
    """Marathon 1.9 and later say more than this client bears: so does every answer that has this field."""
    try:
        call()
    except TypeError as error:
        assert f"'{field}'" in str(error), error
        return
    sys.exit(f"{field} is missing")


def gone(call):
    try:
        call()
    except NotFoundError:
        return True
    return False


def settled(client):
    wait("no deployment is left", lambda: not client.list_deployments())


def tasks(client, app_id):
    return {task.id for task in client.list_tasks(app_id)}


def sleeper(app_id, **more):
    return MarathonApp(id=app_id, cmd="exec sleep 1000", cpus=0.01, mem=16, **more)


def the_service(client):
    # It asks for JSON.
    assert client.ping() == b'"pong"', client.ping()
    info = client.get_info()
    assert info.name == "marathon" and info.framework_id and info.leader, info
    assert client.get_leader()["leader"] == info.leader
    assert isinstance(client.get_metrics(), dict)
    # Marathon gave callbacks up long ago; events are a stream.
    refused(404, client.list_event_subscriptions)
    refused(404, lambda: client.create_event_subscription("http://127.0.0.1:1/"))
    refused(404, lambda: client.delete_event_subscription("http://127.0.0.1:1/"))


def an_app(client):
    app = sleeper(
        "/py/sleeper",
        instances=2,
        labels={"made": "by python"},
        health_checks=[MarathonHealthCheck(protocol="COMMAND", command={"value": "true"}, grace_period_seconds=5, interval_seconds=1)],
    )
    created = client.create_app("/py/sleeper", app)
    assert created.id == "/py/sleeper" and created.instances == 2, created
    refused(409, lambda: client.create_app("/py/sleeper", app))
    wait("two tasks run", lambda: client.get_app("/py/sleeper").tasks_running == 2)
    settled(client)
    shown = client.get_app("/py/sleeper", embed_tasks=True, embed_counts=True, embed_deployments=True)
    assert len(shown.tasks) == 2 and shown.version, shown
    assert [one.id for one in client.list_apps(label="made")] == ["/py/sleeper"]
    assert client.list_apps(cmd="no such command") == []
    # Not embed_task_stats: Marathon 1.5 and later call them tasksStats, which this client does not know.
    listed = client.list_apps(embed_tasks=True, embed_counts=True, embed_deployments=True, embed_failures=True)
    assert [len(one.tasks) for one in listed] == [2], listed

    for how, running in [({"instances": 3}, 3), ({"delta": -1}, 2)]:
        scaled = client.scale_app("/py/sleeper", **how)
        assert scaled["deploymentId"] and scaled["version"], scaled
        wait(f"{running} tasks run", lambda: len(tasks(client, "/py/sleeper")) == running)
        settled(client)


def its_tasks(client):
    def replaced(killed):
        now = tasks(client, "/py/sleeper")
        return not killed & now and len(now) == 2

    assert tasks(client, "/py/sleeper") == tasks(client, None)
    first = sorted(tasks(client, "/py/sleeper"))[0]
    assert client.kill_task("/py/sleeper", first).id == first
    wait("the killed task is replaced", lambda: replaced({first}))
    both = tasks(client, "/py/sleeper")
    assert client.kill_given_tasks(sorted(both))
    wait("the given tasks are replaced", lambda: replaced(both))
    both = tasks(client, "/py/sleeper")
    assert {task.id for task in client.kill_tasks("/py/sleeper")} == both
    wait("all tasks are replaced", lambda: replaced(both))
    one = sorted(tasks(client, "/py/sleeper"))[0]
    assert client.kill_task("/py/sleeper", one, scale=True)["deploymentId"]
    settled(client)
    assert client.get_app("/py/sleeper").instances == 1


def its_versions(client):
    before = client.get_app("/py/sleeper").version
    client.update_app("/py/sleeper", MarathonApp(env={"COLOR": "blue"}))
    settled(client)
    assert client.get_app("/py/sleeper").env == {"COLOR": "blue"}
    versions = client.list_versions("/py/sleeper")
    assert len(versions) >= 3 and before in versions, versions
    assert client.get_version("/py/sleeper", before).env == {}
    client.rollback_app("/py/sleeper", before)
    settled(client)
    assert client.get_app("/py/sleeper").env == {}
    old = tasks(client, "/py/sleeper")
    assert client.restart_app("/py/sleeper")["deploymentId"]
    settled(client)
    assert not old & tasks(client, "/py/sleeper")
    client.update_apps([sleeper("/py/sleeper", instances=1), sleeper("/py/other", instances=1)])
    settled(client)
    assert client.get_app("/py/other").tasks_running == 1


def what_waits(client):
    # Only of an empty queue: the role that Marathon 1.9 and later tell of what waits is unknown to this client.
    assert client.list_queue() == [] and client.list_queue(embed_last_unused_offers=True) == []
    client.create_app("/py/big", MarathonApp(id="/py/big", cmd="true", cpus=10000, mem=16, instances=1))
    deployment = wait("its deployment is listed", lambda: client.list_deployments())[0]
    assert "/py/big" in deployment.affected_apps and deployment.current_actions, deployment
    client.reset_delay("/py/big")
    client.delete_deployment(deployment.id, force=True)
    settled(client)
    client.scale_app("/py/other", instances=2)
    settled(client)
    client.update_app("/py/other", MarathonApp(cpus=10000))
    deployment = wait("the change waits", lambda: client.list_deployments())[0]
    assert client.delete_deployment(deployment.id)["deploymentId"]
    settled(client)
    assert client.get_app("/py/other").cpus == 0.01


def a_group(client):
    def apps_now():
        answer = client._do_request("GET", "/v2/groups/pygroup").json()
        return {app["id"]: app["instances"] for app in answer["apps"]}

    group = MarathonGroup(id="/pygroup", apps=[sleeper("/pygroup/a", instances=1), sleeper("/pygroup/b", instances=1)])
    assert client.create_group(group)["deploymentId"]
    settled(client)
    too_new("enforce_role", client.list_groups)
    too_new("enforce_role", lambda: client.get_group("pygroup"))
    assert apps_now() == {"/pygroup/a": 1, "/pygroup/b": 1}, apps_now()
    before = client._do_request("GET", "/v2/groups/pygroup").json()["version"]
    client.scale_group("pygroup", 2)
    settled(client)
    assert apps_now() == {"/pygroup/a": 2, "/pygroup/b": 2}, apps_now()
    client.update_group("pygroup", MarathonGroup(id="/pygroup", apps=[sleeper("/pygroup/a", instances=1)]))
    settled(client)
    assert apps_now() == {"/pygroup/a": 1}, apps_now()
    # Its path is none that Marathon has: there a group goes back by a PUT of {"version": ...}.
    refused(405, lambda: client.rollback_group("pygroup", before))
    client.delete_group("pygroup", force=True)
    settled(client)
    assert gone(lambda: client._do_request("GET", "/v2/groups/pygroup"))


def the_leader(client):
    seen = []
    follower = threading.Thread(target=follow, args=(client, seen, None), daemon=True)
    follower.start()
    wait("the event stream is open", lambda: "event_stream_attached" in seen)
    before = tasks(client, None)
    assert client.delete_leader() == {"message": "Leadership abdicated"}
    # It leads again, knows everything, and whoever followed its events follows anew.
    assert client.get_leader()["leader"] and before and tasks(client, None) == before
    wait("the event stream ends", lambda: not follower.is_alive())


def the_end(client):
    assert {point.app_id for point in client.list_endpoints()} <= {"/py/sleeper", "/py/other"}
    for app_id in ["/py/big", "/py/other", "/py/sleeper"]:
        client.delete_app(app_id, force=True)
        wait(f"{app_id} is gone", lambda: gone(lambda: client.get_app(app_id)))
    # Until then their ids are taken.
    settled(client)


def follow(client, seen, types):
    for event in client.event_stream(event_types=types):
        seen.append(event.event_type)


def main(url):
    client = Client(url)
    seen, some = [], []
    for list_, types in [(seen, None), (some, ["deployment_success", "event_stream_attached"])]:
        threading.Thread(target=follow, args=(client, list_, types), daemon=True).start()
        wait("the event stream is open", lambda: "event_stream_attached" in list_)
    for part in [the_service, an_app, its_tasks, its_versions, what_waits, a_group, the_leader, the_end]:
        print(part.__name__, flush=True)
        part(client)
    for event_type in ["api_post_event", "deployment_info", "deployment_success", "status_update_event"]:
        wait(f"{event_type} was sent", lambda: event_type in seen)
    wait("deployments succeeded", lambda: "deployment_success" in some)
    assert set(some) == {"deployment_success", "event_stream_attached"}, set(some)
    surface = {name for name, _ in inspect.getmembers(MarathonClient, inspect.isfunction) if not name.startswith("_")}
    print("all well:", len(seen), "events; never called:", sorted(surface - client.called))
    assert surface <= client.called


main(sys.argv[1])
