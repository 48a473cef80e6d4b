"""A cluster for a framework to live through: master and agent are processes of their own, so that each can be killed.

Used by the frameworks beside it.
"""

import subprocess
import time
import urllib.request

START_SECS_MAX = 60
RESOURCES = "cpus:16;mem:32768;disk:10000;ports:[31000-32000]"


class Daemon:
    """One process of the binary."""

    def __init__(self, words, log, ready):
        self.words, self.log, self.ready = words, log, ready
        self.child = None
        self.run()

    def run(self):
        with open(self.log, "ab") as log:
            self.child = subprocess.Popen(self.words, stdout=subprocess.DEVNULL, stderr=log)
        deadline = time.time() + START_SECS_MAX
        while not answers(self.ready):
            if time.time() > deadline:
                raise SystemExit(f"{self.ready} does not answer; see {self.log}")
            time.sleep(0.1)

    def kill(self):
        """SIGKILL, and a new one in its place."""
        self.child.kill()
        self.child.wait()
        self.run()

    def stop(self):
        self.child.terminate()
        self.child.wait()


class Cluster:
    """`both` halves in one process, or one each."""

    def __init__(self, dcos, ip, data, halves=("master", "agents")):
        ready = {"both": f"http://{ip}:5050/health", "master": f"http://{ip}:5050/health",
                 "agents": f"http://{ip}:5051/health"}
        self.daemons = {}
        for half in halves:
            words = [dcos, "up", "--bind", ip, "--data-dir", f"{data}/{half}", "--stop-tasks",
                     "--resources", RESOURCES]
            words += [] if half == "both" else ["--only", half]
            self.daemons[half] = Daemon(words, f"{data}-{half}.log", ready[half])

    def stop(self):
        for half in reversed(self.daemons):
            self.daemons[half].stop()


def answers(url):
    try:
        urllib.request.urlopen(url, timeout=5).read()
        return True
    except OSError:
        return False
