"""A framework on pymesos, and what it has to live through.

    thousand.py path/to/dcos 127.78.0.2 /tmp/data [tasks]

It launches 1,000 short tasks and waits until each has finished; then long ones, which have to outlive `kill -9` of the
scheduler and of the daemon. After each the scheduler asks what became of them and has to hear the truth.
"""

import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request

from pymesos import MesosSchedulerDriver, Scheduler

LONG = 20
PATIENCE_SECS = 300
FINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST"}


class Launcher(Scheduler):
    """Launches what is wanted and keeps the latest state of every task."""

    def __init__(self):
        self.lock = threading.Condition()
        self.wanted = []
        self.states = {}
        self.finals = {}
        self.answered = set()
        self.framework = None
        self.subscribed = 0

    def registered(self, driver, framework_id, master_info):
        with self.lock:
            self.framework = framework_id["value"]
            self.subscribed += 1
            self.lock.notify_all()

    def reregistered(self, driver, master_info):
        with self.lock:
            self.subscribed += 1
            self.lock.notify_all()

    def resourceOffers(self, driver, offers):
        for offer in offers:
            cpus, mem = (scalar(offer, name) for name in ("cpus", "mem"))
            tasks = []
            with self.lock:
                while self.wanted and cpus >= 0.01 and mem >= 16:
                    name, command = self.wanted.pop()
                    tasks.append(task(offer, name, command))
                    cpus, mem = cpus - 0.01, mem - 16
            if tasks:
                driver.launchTasks(offer["id"], tasks, {"refuse_seconds": 0})
            else:
                driver.declineOffer(offer["id"], {"refuse_seconds": 1})

    def statusUpdate(self, driver, status):
        with self.lock:
            name, state = status["task_id"]["value"], status["state"]
            before = self.states.get(name)
            if before not in FINAL:
                self.states[name] = state
            if state in FINAL and before != state:
                self.finals[name] = self.finals.get(name, 0) + 1
            if status.get("reason") == "REASON_RECONCILIATION":
                self.answered.add(name)
            if state in FINAL and state not in ("TASK_FINISHED", "TASK_KILLED"):
                print(name, state, status.get("message"), flush=True)
            self.lock.notify_all()

    def error(self, driver, message):
        print("error:", message, flush=True)

    def until(self, what, holds):
        deadline = time.time() + PATIENCE_SECS
        with self.lock:
            while not holds():
                left = deadline - time.time()
                if left < 0:
                    counts = {}
                    for state in self.states.values():
                        counts[state] = counts.get(state, 0) + 1
                    raise SystemExit(f"never: {what}; {len(self.wanted)} to launch, {counts}")
                self.lock.wait(left)
        print(what, flush=True)


def scalar(offer, name):
    return sum(one["scalar"]["value"] for one in offer["resources"] if one["name"] == name)


def task(offer, name, command):
    def resource(name, value):
        return {"name": name, "type": "SCALAR", "scalar": {"value": value}}

    return {
        "task_id": {"value": name},
        "agent_id": offer["agent_id"],
        "name": name,
        "command": {"shell": True, "value": command},
        "resources": [resource("cpus", 0.01), resource("mem", 16)],
    }


def start(ip, framework=None):
    launcher = Launcher()
    info = {"user": "root", "name": "thousand", "failover_timeout": 3600, "checkpoint": True}
    if framework:
        info["id"] = {"value": framework}
    driver = MesosSchedulerDriver(launcher, info, f"{ip}:5050")
    driver.start()
    launcher.until("subscribed", lambda: launcher.subscribed > 0)
    return launcher, driver


def daemon(dcos, ip, data):
    resources = "cpus:16;mem:32768;disk:1000;ports:[31000-32000]"
    command = [dcos, "up", "--bind", ip, "--data-dir", data, "--stop-tasks", "--resources", resources]
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=open(data + ".log", "ab"))
    for _ in range(600):
        try:
            urllib.request.urlopen(f"http://{ip}:5050/health", timeout=5).read()
            return child
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the cluster does not answer; see " + data + ".log")


def short_tasks(ip, count):
    launcher, driver = start(ip)
    began = time.time()
    with launcher.lock:
        launcher.wanted = [(f"short-{n}", "true") for n in range(count)]
    driver.reviveOffers()
    done = lambda: sum(state == "TASK_FINISHED" for state in launcher.states.values()) == count
    launcher.until(f"{count} tasks have finished", done)
    print(f"in {time.time() - began:.1f} s", flush=True)
    assert all(times == 1 for times in launcher.finals.values()), "each ends once"
    driver.stop()
    driver.join()


def first_life(ip):
    """Launches the long tasks, says under which id, and is killed."""
    launcher, driver = start(ip)
    with launcher.lock:
        launcher.wanted = [(f"long-{n}", "exec sleep 1000") for n in range(LONG)]
    driver.reviveOffers()
    running = lambda: sum(state == "TASK_RUNNING" for state in launcher.states.values()) == LONG
    launcher.until("the long tasks run", running)
    print("framework", launcher.framework, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def reconcile(launcher, driver):
    with launcher.lock:
        launcher.answered = set()
    driver.reconcileTasks([{"task_id": {"value": f"long-{n}"}} for n in range(LONG)])
    launcher.until("all are answered for", lambda: len(launcher.answered) == LONG)
    assert set(launcher.states.values()) == {"TASK_RUNNING"}, launcher.states


def long_tasks(dcos, ip, data, child):
    me = [sys.executable, sys.argv[0], "--first-life", ip]
    told = subprocess.run(me, stdout=subprocess.PIPE, text=True)
    assert told.returncode == -signal.SIGKILL, told
    framework = told.stdout.rsplit("framework ", 1)[1].strip()
    launcher, driver = start(ip, framework)
    reconcile(launcher, driver)
    for _ in range(2):
        seen = launcher.subscribed
        child.kill()
        child.wait()
        child = daemon(dcos, ip, data)
        launcher.until("subscribed again", lambda: launcher.subscribed > seen)
        reconcile(launcher, driver)
    for n in range(LONG):
        driver.killTask({"value": f"long-{n}"})
    killed = lambda: all(state == "TASK_KILLED" for state in launcher.states.values())
    launcher.until("the long tasks are killed", killed)
    driver.stop()
    driver.join()
    return child


def main():
    if sys.argv[1] == "--first-life":
        return first_life(sys.argv[2])
    dcos, ip, data = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    child = daemon(dcos, ip, data)
    try:
        short_tasks(ip, count)
        child = long_tasks(dcos, ip, data, child)
        print("a framework on pymesos lives as it does on Mesos")
    finally:
        child.terminate()
        child.wait()


main()
