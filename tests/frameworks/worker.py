"""An executor on pymesos: what it is to do is in each task's data.

A task is JSON: `{"name": "..."}`, with `"until": "killed"` if it does not finish by itself, and with `"volume": "..."` if
it adds a line with its name to the file `log` of that volume and tells in its status what is in there.
"""

import json
import os
import signal
import sys
import threading
import time
import uuid

from pymesos import Executor, MesosExecutorDriver, decode_data, encode_data

REPEAT_SECS = 1


class Worker(Executor):
    """Tells of each change until the agent has it on its disk."""

    def __init__(self):
        # A number in its own container is that of the next executor as well.
        self.process = uuid.uuid4().int >> 96
        self.live = {}
        self.lock = threading.Lock()

    def launchTask(self, driver, task):
        name, wanted = task["task_id"]["value"], json.loads(decode_data(task["data"]))
        said = None
        if "volume" in wanted:
            path = os.path.join(os.environ["MESOS_DIRECTORY"], wanted["volume"], "log")
            with open(path, "a") as log:
                log.write(name + "\n")
            with open(path) as log:
                said = log.read()
        self.live[name] = task
        self.tell(driver, name, "TASK_RUNNING", said)
        if wanted.get("until") != "killed":
            self.end(driver, name, "TASK_FINISHED")

    def launchTaskGroup(self, driver, tasks):
        for task in tasks:
            self.launchTask(driver, task)

    def killTask(self, driver, task_id):
        self.end(driver, task_id["value"], "TASK_KILLED")

    def frameworkMessage(self, driver, message):
        """Says who it is and what it runs."""
        answer = {"process": self.process, "live": sorted(self.live)}
        driver.sendFrameworkMessage(encode_data(json.dumps(answer).encode()))

    def shutdown(self, driver):
        for name in list(self.live):
            self.end(driver, name, "TASK_KILLED")

    def end(self, driver, name, state):
        if self.live.pop(name, None):
            self.tell(driver, name, state)

    def tell(self, driver, name, state, said=None):
        id = uuid.uuid4()
        status = {
            "task_id": {"value": name},
            "state": state,
            "source": "SOURCE_EXECUTOR",
            "timestamp": time.time(),
            "uuid": encode_data(id.bytes),
        }
        if said is not None:
            status["data"] = encode_data(said.encode())
        with self.lock:
            # pymesos tells these when it subscribes again, and forgets what is acknowledged.
            driver.updates[id] = {"status": status}
            self.send(driver, status)

    def repeat(self, driver):
        """What is not acknowledged is told again, in order."""
        with self.lock:
            for update in list(driver.updates.values()):
                self.send(driver, update["status"])

    def send(self, driver, status):
        try:
            driver.sendStatusUpdate(status)
        except Exception as error:
            print("not told yet:", error, file=sys.stderr, flush=True)


def main():
    # pymesos ends all of its process group when it is shut down.
    if os.getpgid(0) != os.getpid():
        os.setpgid(0, 0)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    worker = Worker()
    driver = MesosExecutorDriver(worker)
    driver.start()
    while not driver.aborted:
        time.sleep(REPEAT_SECS)
        worker.repeat(driver)
    driver.join()


main()
