#!/usr/bin/python3
"""Lets marathon_lb.py, as it is published, follow a cluster, and haproxy judge the configuration that it writes.

usage: marathon_lb.py http://127.0.0.1:8080 DIRECTORY_OF_MARATHON_LB
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

WAIT_SECS_MAX = 90
POLL_SECS = 0.2
APP = {
    "id": "/lb/web",
    "cmd": "exec /usr/bin/python3 -m http.server --bind $HOST $PORT0",
    "instances": 2,
    "cpus": 0.01,
    "mem": 48,
    "portDefinitions": [{"port": 10101, "name": "http"}],
    "labels": {"HAPROXY_GROUP": "external", "HAPROXY_0_VHOST": "shop.example.com", "HAPROXY_0_BALANCE": "leastconn"},
    "healthChecks": [{"protocol": "HTTP", "path": "/", "portIndex": 0, "intervalSeconds": 2, "gracePeriodSeconds": 60}],
}
# Its own head loads scripts from where its image keeps them.
HEAD = """global
  maxconn 100
  stats socket /var/run/haproxy/socket expose-fd listeners
defaults
  timeout connect 3s
  timeout client 30s
  timeout server 30s
"""


def wait(what, condition):
    deadline = time.monotonic() + WAIT_SECS_MAX
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(POLL_SECS)
    sys.exit(f"never happened: {what}")


def ask(url, method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"}, method=method)
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def needs(directory):
    missing = [name for name in ["haproxy", "openssl"] if not shutil.which(name)]
    missing += [name for name in ["marathon_lb.py"] if not os.path.exists(os.path.join(directory, name))]
    if missing:
        sys.exit(f"missing: {', '.join(missing)}; `scripts/install-deps.sh third-party` installs the programs")


def servers(config):
    """Where the backend of the app sends requests to."""
    text = open(config).read() if os.path.exists(config) else ""
    backend = re.search(r"^backend lb_web_10101\n((?:  .*\n?)*)", text, re.M)
    return set(re.findall(r"  server \S+ (\S+)", backend[1])) if backend else set()


def healthy(url):
    tasks = ask(url, "GET", "/v2/apps/lb/web")["app"]["tasks"]
    alive = [task for task in tasks if any(check["alive"] for check in task.get("healthCheckResults", []))]
    return {f"{task['host']}:{task['ports'][0]}" for task in alive}


def follow(url, directory, scratch):
    config, pem = f"{scratch}/haproxy.cfg", f"{scratch}/site.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=shop.example.com", "-days", "2"]
    subprocess.run([*make, "-keyout", f"{scratch}/key", "-out", f"{scratch}/cert"], check=True, capture_output=True)
    with open(pem, "w") as both:
        both.write(open(f"{scratch}/cert").read() + open(f"{scratch}/key").read())
    words = [sys.executable, "-B", f"{directory}/marathon_lb.py", "--marathon", url, "--group", "external", "--sse"]
    words += ["--health-check", "--haproxy-config", config, "--ssl-certs", pem, "--command", "false", "--syslog-socket", "/dev/null"]
    # `false` instead of a reload: no haproxy runs, and marathon_lb would wait for a new one.
    log = open(f"{scratch}/log", "w")
    env = {**os.environ, "HAPROXY_HEAD": HEAD}
    process = subprocess.Popen(words, cwd=scratch, env=env, stdout=log, stderr=subprocess.STDOUT)
    try:
        for instances in [2, 3, 1]:
            ask(url, "PUT", "/v2/apps/lb/web", {"instances": instances})
            same = lambda: len(healthy(url)) == instances and servers(config) == healthy(url)
            wait(f"the file names the {instances} healthy tasks", same)
        text = open(config).read()
        for line in ["acl host_shop_example_com_lb_web hdr(host) -i shop.example.com", "  balance leastconn", "  bind *:10101"]:
            assert line in text, f"{line!r} is missing in\n{text}"
        checked = subprocess.run(["haproxy", "-c", "-f", config], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr + text
    except BaseException:
        print("".join(open(f"{scratch}/log").readlines()[-40:]))
        raise
    finally:
        process.kill()
        process.wait()


def main(url, directory):
    needs(directory)
    ask(url, "POST", "/v2/apps", APP)
    with tempfile.TemporaryDirectory() as scratch:
        follow(url, os.path.abspath(directory), scratch)
    ask(url, "DELETE", "/v2/apps/lb/web?force=true")
    print("all well")


main(*sys.argv[1:])
