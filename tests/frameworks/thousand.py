"""A framework on pymesos whose tasks are commands, and what it has to live through.

    thousand.py path/to/dcos 127.78.0.2 /tmp/data [tasks]

It launches 1,000 short tasks and waits until each has finished; then long ones, which have to outlive `kill -9` of the
scheduler and of the daemon. After each the scheduler asks what became of them and has to hear the truth.
"""

import os
import signal
import subprocess
import sys
import time

from cluster import Cluster
from launcher import reconcile, start

LONG = [f"long-{n}" for n in range(20)]
INFO = {"name": "thousand"}


def command(name, command):
    return {"task_id": {"value": name}, "name": name, "command": {"shell": True, "value": command}}


def short_tasks(ip, count):
    launcher, driver = start(ip, INFO)
    began = time.time()
    names = [f"short-{n}" for n in range(count)]
    with launcher.lock:
        launcher.wanted = [command(name, "true") for name in names]
    driver.reviveOffers()
    launcher.until(f"{count} tasks have finished", launcher.are(names, "TASK_FINISHED"))
    print(f"in {time.time() - began:.1f} s", flush=True)
    assert all(len(ends) == 1 for ends in launcher.ends.values()), "each ends once"
    driver.stop()
    driver.join()


def first_life(ip):
    """Launches the long tasks, says under which id, and is killed."""
    launcher, driver = start(ip, INFO)
    with launcher.lock:
        launcher.wanted = [command(name, "exec sleep 1000") for name in LONG]
    driver.reviveOffers()
    launcher.until("the long tasks run", launcher.are(LONG, "TASK_RUNNING"))
    print("framework", launcher.framework, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def all_run(launcher, driver):
    answers = reconcile(launcher, driver, LONG)
    assert set(answers.values()) == {"TASK_RUNNING"}, answers


def long_tasks(ip, cluster):
    me = [sys.executable, sys.argv[0], "--first-life", ip]
    told = subprocess.run(me, stdout=subprocess.PIPE, text=True)
    assert told.returncode == -signal.SIGKILL, told
    framework = told.stdout.rsplit("framework ", 1)[1].strip()
    launcher, driver = start(ip, INFO, framework)
    all_run(launcher, driver)
    for _ in range(2):
        seen = launcher.subscribed
        cluster.daemons["both"].kill()
        launcher.until("subscribed again", lambda: launcher.subscribed > seen)
        all_run(launcher, driver)
    for name in LONG:
        driver.killTask({"value": name})
    launcher.until("the long tasks are killed", launcher.are(LONG, "TASK_KILLED"))
    driver.stop()
    driver.join()


def main():
    if sys.argv[1] == "--first-life":
        return first_life(sys.argv[2])
    dcos, ip, data = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    cluster = Cluster(dcos, ip, data, ["both"])
    try:
        short_tasks(ip, count)
        long_tasks(ip, cluster)
        print("a framework on pymesos lives as it does on Mesos")
    finally:
        cluster.stop()


main()
