"""A framework on pymesos with an executor of its own, and what both have to live through.

    lives.py path/to/dcos 127.78.0.3 /tmp/data [tasks]

Scheduler, executor, agent and master are killed with `kill -9`, one after the other, first at rest and then amid a storm
of tasks. After each death the scheduler asks what became of its tasks and has to hear the truth, which is what the
executor itself says. It reserves resources and makes a volume; each task that is launched there finds what those before
it have written, whoever died meanwhile.
"""

import json
import os
import signal
import subprocess
import sys
import time

from pymesos import decode_data, encode_data

from cluster import Cluster
from launcher import FINAL, launch, placed, reconcile, reserved, scalar, start

HERE = os.path.dirname(os.path.abspath(__file__))
ROLE = "workers"
INFO = {"name": "lives", "role": ROLE}
EXECUTOR = {
    "executor_id": {"value": "worker"},
    "name": "worker",
    "source": "tests",
    "command": {"shell": True, "value": f"exec {sys.executable} {HERE}/worker.py"},
    "resources": [scalar("cpus", 1), scalar("mem", 256)],
}
RESERVED = {**scalar("disk", 64), "role": ROLE, "reservation": {}}
VOLUME = {
    **RESERVED,
    "disk": {"persistence": {"id": "diary"},
             "volume": {"container_path": "diary", "mode": "RW"}},
}


def task(name, **wanted):
    data = encode_data(json.dumps({"name": name, **wanted}).encode())
    return {"task_id": {"value": name}, "name": name, "executor": EXECUTOR, "data": data}


class Framework:
    """What it has launched, and what must be true of it."""

    def __init__(self, ip, framework=None, generation=0):
        self.ip, self.generation = ip, generation
        self.launcher, self.driver = start(ip, INFO, framework)

    def long(self):
        return [f"long-{self.generation}-{n}" for n in range(20)]

    def diary(self):
        return f"diary-{self.generation}"

    def holds(self):
        return [*self.long(), self.diary()]

    def thousand(self, count):
        names = [f"short-{n}" for n in range(count)]
        self.want([task(name) for name in names])
        began = time.time()
        self.launcher.until(f"{count} tasks have finished",
                            self.launcher.are(names, "TASK_FINISHED"))
        print(f"in {time.time() - began:.1f} s", flush=True)
        assert all(len(ends) == 1 for ends in self.launcher.ends.values()), "each ends once"

    def want(self, tasks):
        with self.launcher.lock:
            self.launcher.wanted += tasks
        self.driver.reviveOffers()

    def planned(self, what, plan):
        """Does something with the first offer for which there is something to do."""
        self.launcher.plan = plan
        self.driver.reviveOffers()
        self.launcher.until(what, lambda: self.launcher.plan is None)

    def settle(self):
        """Reserves, makes the volume, and launches on it, all in one call."""
        def plan(offer):
            if not any(one["name"] == "disk" for one in offer["resources"]):
                return None
            return [
                {"type": "RESERVE", "reserve": {"resources": [RESERVED]}},
                {"type": "CREATE", "create": {"volumes": [VOLUME]}},
                launch([placed(self.diary_task(), offer, VOLUME)]),
            ]
        self.planned("a volume is made", plan)
        self.want([task(name, until="killed") for name in self.long()])
        self.run()

    def diary_task(self):
        return task(self.diary(), until="killed", volume="diary")

    def relaunch(self):
        """All tasks anew, under new names; the volume has to be offered as it was."""
        self.generation += 1
        def plan(offer):
            volumes = [one for one in offer["resources"] if is_diary(one)]
            return volumes and [launch([placed(self.diary_task(), offer, volumes[0])])]
        self.planned("the volume is offered again", plan)
        self.want([task(name, until="killed") for name in self.long()])
        self.run()

    def run(self):
        self.launcher.until("the long tasks run", self.launcher.are(self.holds(), "TASK_RUNNING"))
        expected = "".join(f"diary-{n}\n" for n in range(self.generation + 1))
        found = decode_data(self.launcher.data[self.diary()]).decode()
        assert found == expected, f"the volume has {found!r}, not {expected!r}"

    def ask(self):
        """Has the executor say who it is and what it runs."""
        agents = json.loads(fetch(f"http://{self.ip}:5050/slaves"))["slaves"]
        assert len(agents) == 1, agents
        agent, executor = {"value": agents[0]["id"]}, EXECUTOR["executor_id"]
        seen = len(self.launcher.messages)
        self.launcher.until(
            "the executor answers", lambda: len(self.launcher.messages) > seen,
            lambda: self.driver.sendFrameworkMessage(executor, agent, encode_data(b"who")))
        return json.loads(decode_data(self.launcher.messages[-1]))

    def reconciles(self, expected="TASK_RUNNING"):
        answers = reconcile(self.launcher, self.driver, self.holds())
        assert set(answers.values()) == {expected}, answers

    def lives_on(self, process):
        """The executor is who it was, and what it says is what the master says."""
        self.reconciles()
        said = self.ask()
        assert said["process"] == process, f"another executor runs: {said}"
        assert sorted(said["live"]) == sorted(self.holds()), said

    def executor_dies(self):
        seen = len(self.launcher.lost_executors)
        kill_executor(self.launcher.framework)
        self.launcher.until("the executor is said to be lost",
                            lambda: len(self.launcher.lost_executors) > seen)
        failed = self.launcher.are(self.holds(), "TASK_FAILED")
        self.launcher.until("its tasks have failed", failed)
        assert self.launcher.lost_executors[-1] == ("worker", signal.SIGKILL)
        # To a framework that is not partition-aware, what is not known is lost.
        self.reconciles("TASK_LOST")

    def storm(self, name, count, death):
        """Launches, has somebody die amid it, and asks until all are known to have ended."""
        names = [f"storm-{name}-{n}" for n in range(count)]
        self.want([task(one) for one in names])
        begun = lambda: sum(state == "TASK_FINISHED" for state in map(self.state, names)) > count / 10
        self.launcher.until(f"the storm before the death of the {name} has begun", begun)
        death()
        ask = lambda: self.driver.reconcileTasks(
            [{"task_id": {"value": one}} for one in names if self.is_open(one)])
        launched = lambda: not self.launcher.wanted
        self.launcher.until("all are launched", launched, self.driver.reviveOffers)
        over = lambda: all(self.state(one) in FINAL for one in names)
        self.launcher.until("all have ended", over, ask)
        counts = {}
        for one in names:
            counts[self.state(one)] = counts.get(self.state(one), 0) + 1
        print(counts, flush=True)
        twice = [one for one in names if len(self.launcher.ends.get(one, [])) > 1]
        assert not twice, f"these ended twice: {twice}"
        answers = reconcile(self.launcher, self.driver, names)
        assert set(answers.values()) == {"TASK_LOST"}, "none of them is held any more"
        return counts

    def state(self, name):
        return self.launcher.states.get(name)

    def is_open(self, name):
        return self.state(name) not in FINAL

    def leave(self):
        """Gives back all that it has."""
        for name in self.holds():
            self.driver.killTask({"value": name})
        self.launcher.until("all are killed", self.launcher.are(self.holds(), "TASK_KILLED"))
        def plan(offer):
            volumes = [one for one in offer["resources"] if is_diary(one)]
            if not volumes:
                return None
            disk = {key: value for key, value in volumes[0].items() if key != "disk"}
            return [{"type": "DESTROY", "destroy": {"volumes": volumes}},
                    {"type": "UNRESERVE", "unreserve": {"resources": [disk]}}]
        self.planned("the volume is given back", plan)
        def bare(offer):
            if not any(reserved(one) for one in offer["resources"]):
                self.launcher.plan = None
                self.launcher.lock.notify_all()
        self.planned("nothing is reserved any more", bare)
        self.driver.stop()
        self.driver.join()


def is_diary(resource):
    return resource.get("disk", {}).get("persistence", {}).get("id") == "diary"


def fetch(url):
    import urllib.request
    return urllib.request.urlopen(url, timeout=10).read()


def kill_executor(framework):
    """SIGKILL to the process that is the executor, which its environment tells."""
    wanted = {f"MESOS_FRAMEWORK_ID={framework}".encode(), b"MESOS_EXECUTOR_ID=worker"}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as environ:
                is_it = wanted <= set(environ.read().split(b"\0"))
            with open(f"/proc/{pid}/cmdline", "rb") as cmdline:
                is_it &= b"worker.py" in cmdline.read()
        except OSError:
            continue
        if is_it:
            return os.kill(int(pid), signal.SIGKILL)
    raise SystemExit("there is no executor to kill")


def first_life(ip, count):
    """Is killed with all its tasks running; says under which id."""
    framework = Framework(ip)
    framework.thousand(count)
    framework.settle()
    framework.reconciles()
    process = framework.ask()["process"]
    print("framework", framework.launcher.framework, process, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)


def second_life(ip, cluster, count):
    me = [sys.executable, sys.argv[0], "--first-life", ip, str(count)]
    told = subprocess.run(me, stdout=subprocess.PIPE, text=True)
    print(told.stdout, flush=True)
    assert told.returncode == -signal.SIGKILL, told
    id, process = told.stdout.rsplit("framework ", 1)[1].split()
    framework = Framework(ip, id)
    framework.launcher.framework = id
    print("the scheduler was killed", flush=True)
    framework.lives_on(int(process))
    framework.executor_dies()
    framework.relaunch()
    process = framework.ask()["process"]
    framework.lives_on(process)
    for half in ("agents", "master"):
        dies(framework, cluster, half)
        framework.lives_on(process)
    storms(framework, cluster)
    framework.leave()


def dies(framework, cluster, half):
    seen = framework.launcher.subscribed
    cluster.daemons[half].kill()
    print(f"killed: {half}", flush=True)
    if half == "master":
        framework.launcher.until("subscribed again",
                                 lambda: framework.launcher.subscribed > seen)


def storms(framework, cluster):
    """An executor that has died takes the long tasks with it; all others leave them alone."""
    process = framework.ask()["process"]
    for half in ("agents", "master"):
        framework.storm(half, 200, lambda: dies(framework, cluster, half))
        framework.lives_on(process)
    framework.storm("executor", 200, lambda: kill_executor(framework.launcher.framework))
    framework.reconciles("TASK_LOST")
    framework.relaunch()
    framework.lives_on(framework.ask()["process"])


def main():
    if sys.argv[1] == "--first-life":
        return first_life(sys.argv[2], int(sys.argv[3]))
    dcos, ip, data = sys.argv[1:4]
    count = int(sys.argv[4]) if len(sys.argv) > 4 else 1000
    cluster = Cluster(dcos, ip, data)
    try:
        second_life(ip, cluster, count)
        print("an executor on pymesos lives as it does on Mesos")
    finally:
        cluster.stop()


main()
