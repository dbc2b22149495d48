#!/usr/bin/env python3
"""What an idle daemon takes: `run.py JANITOR`, with a release build. Prints the figures, and fails when a bound is not kept."""

import http.client
import os
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time

TARGETS = 1000
MIB = 1 << 20
passed = failed = 0


def check(what, value, bound, unit):
    global passed, failed
    fine = value < bound
    passed, failed = passed + fine, failed + (not fine)
    print(f"{'ok  ' if fine else 'FAIL'} {what}: {value:.3f} {unit}, bound {bound} {unit}", flush=True)


def wait_for(what, found):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if (value := found()) is not None:
            return value
        time.sleep(0.02)
    sys.exit(f"waited in vain for {what}")


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024 / MIB


def processor_time(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def config(count, schedule):
    targets = "".join(
        f'[[target]]\nname = "t{number}"\npath = "targets/t{number}"\nschedule = "{schedule}"\ninclude = ["*"]\nolder_than = "7d"\n'
        for number in range(count)
    )
    return f'base = ".."\n[admin]\nlisten = "127.0.0.1:0"\n{targets}'


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    assert answer.status == 200, (path, answer.status, body[:200])
    return body


def main():
    janitor = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as yard:
        yard = pathlib.Path(yard)
        (yard / "config").mkdir()
        for number in range(TARGETS):
            (yard / f"targets/t{number}").mkdir(parents=True)
        file = yard / "config/janitor.toml"
        file.write_text(config(TARGETS, "0 0 1 1 *"))
        daemon = subprocess.Popen([janitor, "run"], cwd=yard, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            log = yard / "cleanup_scheduler.log"
            line = re.compile(r"Admin port listening on 127\.0\.0\.1:(\d+)")
            read = lambda: line.search(log.read_text()) if log.exists() else None
            port = int(wait_for("the port", read)[1])
            get(port, "/cleanup/status")
            # It has just begun: the config is read once more, and the log is written.
            wait_for("the start", lambda: True if "scheduler started successfully" in log.read_text() else None)
            time.sleep(2)
            began, before = time.monotonic(), processor_time(daemon.pid)
            time.sleep(31)
            share = (processor_time(daemon.pid) - before) / (time.monotonic() - began) * 100
            check(f"idle, {TARGETS} targets, processor", share, 0.1, "% of a core")
            check(f"idle, {TARGETS} targets, resident", resident(daemon.pid), 16, "MiB")
            # The dashboard: the page, its lists, and its events.
            follower = socket.create_connection(("127.0.0.1", port))
            follower.sendall(f"GET /cleanup/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode())
            for path in ["/", "/cleanup/status", "/cleanup/targets?limit=1000", "/cleanup/runs", "/openapi.json", "/metrics"]:
                get(port, path)
            check(f"with the dashboard, {TARGETS} targets, resident", resident(daemon.pid), 24, "MiB")
            follower.close()
            # A reload, from the save to the config in force; 250 ms of quiet and two readings are part of it.
            many = 10 * TARGETS
            file.write_text(config(many, "0 0 1 1 *"))
            saved = time.monotonic()
            wait_for("the reload", lambda: True if f"{many - TARGETS} added" in log.read_text() else None)
            check(f"a reload to {many} targets", time.monotonic() - saved, 2, "s")
        finally:
            daemon.terminate()
            daemon.wait()
    print(f"idle: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


main()
