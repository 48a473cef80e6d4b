"""A scheduler on pymesos that launches what is wanted and keeps what it is told.

Used by the frameworks beside it.
"""

import logging
import os
import threading
import time

from pymesos import MesosSchedulerDriver, Scheduler

PATIENCE_SECS = int(os.environ.get("PATIENCE_SECS", 300))
FINAL = {"TASK_FINISHED", "TASK_FAILED", "TASK_KILLED", "TASK_ERROR", "TASK_LOST"}
# Nothing that would have to be explained.
EXPECTED = {None, "REASON_EXECUTOR_TERMINATED"}
CPUS, MEM = 0.01, 16


class Launcher(Scheduler):
    """Launches what is wanted and keeps the latest state of every task."""

    def __init__(self):
        self.lock = threading.Condition()
        # Tasks, but for the agent and the resources.
        self.wanted = []
        # Asked for operations on each offer before any task is, until it has some.
        self.plan = None
        self.states = {}
        # The ends of each task, by the names of their updates: who repeats one says nothing new.
        self.ends = {}
        self.data = {}
        self.answered = {}
        self.messages = []
        self.lost_executors = []
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
            try:
                operations = self.operations(offer)
                if operations:
                    driver.acceptOffers(offer["id"], operations, {"refuse_seconds": 0})
                else:
                    driver.declineOffer(offer["id"], {"refuse_seconds": 1})
            except Exception as error:
                # The master has died meanwhile; what it never heard of is lost, as it will say.
                print("not said:", error, flush=True)

    def operations(self, offer):
        with self.lock:
            planned = self.plan and self.plan(offer)
            if planned:
                self.plan = None
                self.lock.notify_all()
                return planned
            free = {name: unreserved(offer, name) for name in ("cpus", "mem")}
            tasks = []
            while self.wanted and free["cpus"] >= 1 and free["mem"] >= 512:
                tasks.append(placed(self.wanted.pop(), offer))
                free["cpus"], free["mem"] = free["cpus"] - CPUS, free["mem"] - MEM
            return [launch(tasks)] if tasks else []

    def statusUpdate(self, driver, status):
        with self.lock:
            name, state = status["task_id"]["value"], status["state"]
            if self.states.get(name) not in FINAL:
                self.states[name] = state
            if state in FINAL and "uuid" in status:
                self.ends.setdefault(name, set()).add(status["uuid"])
            if status.get("reason") == "REASON_RECONCILIATION":
                self.answered[name] = state
            elif state in FINAL and status.get("reason") not in EXPECTED:
                print(name, state, status.get("reason"), status.get("message"), flush=True)
            if status.get("data"):
                self.data[name] = status["data"]
            self.lock.notify_all()

    def frameworkMessage(self, driver, executor_id, agent_id, message):
        with self.lock:
            self.messages.append(message)
            self.lock.notify_all()

    def executorLost(self, driver, executor_id, agent_id, status):
        with self.lock:
            self.lost_executors.append((executor_id["value"], status))
            self.lock.notify_all()

    def error(self, driver, message):
        print("error:", message, flush=True)

    def until(self, what, holds, meanwhile=None):
        """Waits until it holds, and does something every second until then."""
        deadline = time.time() + PATIENCE_SECS
        while not self.within(1 if meanwhile else PATIENCE_SECS, holds):
            if time.time() > deadline:
                raise SystemExit(f"never: {what}; {len(self.wanted)} to launch, {self.count()}")
            try:
                meanwhile()
            except Exception as error:
                print("not said:", error, flush=True)
        print(what, flush=True)

    def within(self, seconds, holds):
        with self.lock:
            return self.lock.wait_for(holds, seconds)

    def count(self):
        counts = {}
        for state in self.states.values():
            counts[state] = counts.get(state, 0) + 1
        return counts

    def are(self, names, state):
        return lambda: all(self.states.get(name) == state for name in names)


def unreserved(offer, name):
    all = (one for one in offer["resources"] if one["name"] == name)
    return sum(one["scalar"]["value"] for one in all if not reserved(one))


def reserved(resource):
    return resource.get("reservations") or "reservation" in resource


def scalar(name, value):
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def placed(task, offer, *more):
    resources = [scalar("cpus", CPUS), scalar("mem", MEM), *more]
    return {**task, "agent_id": offer["agent_id"], "resources": resources}


def launch(tasks):
    return {"type": "LAUNCH", "launch": {"task_infos": tasks}}


def start(ip, info, framework=None):
    logging.getLogger("pymesos").setLevel(logging.CRITICAL)
    launcher = Launcher()
    info = {"user": "root", "failover_timeout": 3600, "checkpoint": True, **info}
    if framework:
        info["id"] = {"value": framework}
    driver = MesosSchedulerDriver(launcher, info, f"{ip}:5050")
    driver.start()
    launcher.until("subscribed", lambda: launcher.subscribed > 0)
    return launcher, driver


def reconcile(launcher, driver, names, meanwhile=lambda: None):
    """Asks for tasks, again and again until all are answered for, and gives the answers."""

    def ask():
        meanwhile()
        driver.reconcileTasks([{"task_id": {"value": name}} for name in names])

    with launcher.lock:
        launcher.answered = {}
    try:
        ask()
    except Exception as error:
        print("not said:", error, flush=True)
    launcher.until("all are answered for", lambda: set(names) <= set(launcher.answered), ask)
    return {name: launcher.answered[name] for name in names}
