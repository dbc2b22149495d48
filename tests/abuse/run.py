#!/usr/bin/env python3
"""Abuse with real tools, against the release build: slowhttptest holds the port while the socket has to answer; wrk
compares the status with a bare hyper server, while a sweep goes on.

Usage: run.py JANITOR HELLO, the paths of `janitor` and of the example `hello`. Needs slowhttptest and wrk. As root the
attacker is an ordinary user. It ends with a line `abuse: N passed, M failed`.
"""

import http.client
import json
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PATIENCE = 60
SLOW_SECONDS = 8
SLOW_CONNECTIONS = 500
LIMIT_MS = 100
# At the most: a round in which the machine was busy elsewhere says nothing.
ROUNDS = 10
WRK = ["wrk", "-t1", "-c16", "-d3s"]
LEAST_RATIO = 0.5
FILES = 20_000

TARGETS = """
[[target]]
path = "swept"
schedule = "0 0 1 1 *"
include = ["**"]
"""


class Unix(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=PATIENCE)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


class Daemon:
    def __init__(self, janitor):
        self.yard = tempfile.mkdtemp()
        os.chmod(self.yard, 0o755)
        os.mkdir(f"{self.yard}/config")
        with open(f"{self.yard}/config/janitor.toml", "w") as config:
            config.write('base = ".."\n[admin]\nlisten = "127.0.0.1:0"\nsocket = "admin.sock"\n' + TARGETS)
        self.err = f"{self.yard}/stderr"
        with open(self.err, "w") as err:
            self.process = subprocess.Popen([janitor, "run"], cwd=self.yard, stdout=subprocess.DEVNULL, stderr=err)
        self.port = self.wait_for(lambda: re.search(r"Admin port listening on (\S+)", open(self.err).read()))[1]
        self.socket = f"{self.yard}/admin.sock"
        self.wait_for(lambda: "started successfully" in open(self.err).read())

    def wait_for(self, found):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise RuntimeError(f"the daemon has ended: {open(self.err).read()}")
            if result := found():
                return result
            time.sleep(0.02)
        raise RuntimeError(f"waited in vain: {open(self.err).read()}")

    def ask(self, method, path):
        """Over the socket; the answer's status and JSON, and how long it took in milliseconds."""
        began = time.monotonic()
        connection = Unix(self.socket)
        connection.request(method, path)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        connection.close()
        return answer.status, body, (time.monotonic() - began) * 1000

    def end(self):
        self.process.terminate()
        code = self.process.wait(PATIENCE)
        shutil.rmtree(self.yard)
        return code


def attacker():
    """What an attack is run with: an ordinary user, where we can be one."""
    if os.geteuid() != 0:
        return []
    return ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"]


def slow(daemon, mode, path, options):
    """One mode of slowhttptest against a route of the port; what the socket did meanwhile."""
    attack = ["slowhttptest", mode, "-c", str(SLOW_CONNECTIONS), "-r", "250", "-l", str(SLOW_SECONDS), "-p", "3"]
    attack += ["-u", f"http://{daemon.port}{path}"] + options
    process = subprocess.Popen(attacker() + attack, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    times = []
    while process.poll() is None:
        status, _, took = daemon.ask("GET", "/cleanup/status")
        if status != 200:
            process.kill()
            return f"the socket answers {status}"
        times.append(took)
        time.sleep(0.05)
        if len(times) > 40 * SLOW_SECONDS:
            process.kill()
            return "slowhttptest does not end"
    said = process.stdout.read().decode(errors="replace")
    if "Exit status" not in said:
        return f"slowhttptest ended with {process.returncode}: {said[-500:]}"
    if len(times) < 20:
        return f"only {len(times)} answers"
    median, worst = statistics.median(times), max(times)
    print(f"slowhttptest {mode}: the socket answered {len(times)} times, median {median:.1f} ms, worst {worst:.1f} ms")
    return None if median < LIMIT_MS else f"the median is {median:.1f} ms"


def rate(url):
    said = subprocess.run(WRK + [url], check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in said:
        raise RuntimeError(said)
    return float(re.search(r"Requests/sec:\s*([\d.]+)", said)[1])


def sweep(daemon):
    """Begins one over many files; gives its id."""
    for number in range(FILES):
        name = f"{daemon.yard}/swept/{number % 50}/{number}"
        if number < 50:
            os.makedirs(os.path.dirname(name), exist_ok=True)
        os.close(os.open(name, os.O_CREAT | os.O_WRONLY))
    status, answer, _ = daemon.ask("POST", "/cleanup/manual?wait=false")
    assert status == 202, answer
    return answer["runs"][0]["run"]


def swept(daemon, run):
    """Whether that sweep has removed all of it."""
    def ended():
        status, answer, _ = daemon.ask("GET", f"/cleanup/runs/{run}")
        return answer["run"] if status == 200 else None
    report = daemon.wait_for(ended)
    return report["outcome"] == "done" and report["deleted"] == FILES


def compared(daemon, hello):
    process = subprocess.Popen([hello], stdout=subprocess.PIPE, text=True)
    bare = f"http://{process.stdout.readline().strip()}/"
    best = 0
    try:
        for number in range(ROUNDS):
            base = rate(bare)
            run = sweep(daemon)
            ours = rate(f"http://{daemon.port}/cleanup/status")
            if not swept(daemon, run):
                return f"the sweep {run} did not remove everything"
            best = max(best, ours / base)
            print(f"wrk, round {number + 1}: hello {base:.0f}/s, status {ours:.0f}/s, ratio {ours / base:.2f}")
            if best >= LEAST_RATIO:
                break
    finally:
        process.kill()
        process.wait()
    print(f"wrk: the best ratio is {best:.2f}")
    return None if best >= LEAST_RATIO else f"the best ratio is {best:.2f}, and {LEAST_RATIO} is asked for"


def main():
    janitor, hello = (os.path.abspath(path) for path in sys.argv[1:])
    daemon = Daemon(janitor)
    checks = {
        "slow heads": lambda: slow(daemon, "-H", "/cleanup/status", ["-i", "1"]),
        "slow bodies": lambda: slow(daemon, "-B", "/cleanup/start", ["-i", "1", "-s", "4096", "-t", "POST"]),
        "slow reading": lambda: slow(daemon, "-X", "/cleanup/status", ["-w", "1", "-y", "8", "-n", "1", "-z", "4", "-k", "3"]),
        "the rate of the status": lambda: compared(daemon, hello),
        "the daemon ends well": lambda: None if (code := daemon.end()) == 0 else f"it ended with {code}",
    }
    failed = 0
    for name, check in checks.items():
        try:
            why = check()
        except Exception as error:  # whatever it is, the other checks are made, and this one has failed
            why = f"{type(error).__name__}: {error}"
        if why:
            failed += 1
        print(f"{'FAILED' if why else 'ok'}: {name}{f': {why}' if why else ''}", flush=True)
    if daemon.process.poll() is None:
        daemon.process.kill()
    print(f"abuse: {len(checks) - failed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
