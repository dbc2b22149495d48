#!/usr/bin/env python3
"""What others make of the admin port: Prometheus and promtool of its metrics and of the alert rules, schemathesis of its
description.

    tests/conformance/run.py target/release/janitor

It needs Prometheus (Debian: prometheus) and the network or a cache for pip, which installs schemathesis in a directory that
goes when this ends. Everything happens in a temporary yard, on a port that the system chooses. As root the daemon lets
every request in; as anybody else its own user does.
"""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import venv
from pathlib import Path

SCHEMATHESIS = "schemathesis==4.32.5"
EXAMPLES = 15
SEED = 1
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "allow_header_conformance",
]
TOP = Path(__file__).resolve().parents[2]
MONITORING = TOP / "examples" / "monitoring"
PATIENCE = 30.0

# One target for each state there is. None of them is due while this runs.
CONFIG = """
base = ".."

[admin]
listen = "127.0.0.1:0"

[defaults]
schedule = "0 0 29 2 *"
include = ["**"]

[[target]]
path = "done"

[[target]]
path = "partial"
include = ["**"]
action = "move:ARCHIVE"

[[target]]
path = "held"
max_deletes = 1

[[target]]
path = "paused"

[[target]]
path = "dry"
dry_run = true

[[target]]
path = "full"
max_files = 1
max_size = "1kB"
min_free = "100%"
min_age = "1h"

[[target]]
path = "failed"
missing = "fail"

[[target]]
path = "trash"
action = "trash"

[[target]]
path = "never"

[[target]]
path = "off"
enabled = false

[[target]]
name = 'with "quotes" and \\ in grün'
path = "odd"
"""

passed, failed = 0, 0


def check(what, fine, said=""):
    """Counts one check, and shows what was said when it failed."""
    global passed, failed
    if fine:
        passed += 1
        print(f"ok      {what}", flush=True)
    else:
        failed += 1
        print(f"FAILED  {what}\n{said}", flush=True)


def run(command, **more):
    """Runs a program; whether it ended well, and all that it said."""
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=400, **more)
        return done.returncode == 0, done.stdout.decode(errors="replace")
    except subprocess.TimeoutExpired as error:
        return False, f"{error}\n{(error.stdout or b'').decode(errors='replace')}"


class Daemon:
    """janitor at work in a yard."""

    def __init__(self, binary, yard):
        self.yard = yard
        self.said = open(yard / "stderr", "wb")
        self.process = subprocess.Popen(
            [binary, "run"], cwd=yard, stdout=subprocess.DEVNULL, stderr=self.said, env={**os.environ, "TZ": "UTC"}
        )
        self.base = self.wait_for_port()

    def wait_for_port(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            text = (self.yard / "stderr").read_text(errors="replace")
            found = re.search(r"Admin port listening on ([0-9.]+:[0-9]+)", text)
            if found and "scheduler started successfully" in text:
                return f"http://{found[1]}"
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        sys.exit(f"the daemon did not start:\n{(self.yard / 'stderr').read_text(errors='replace')}")

    def ask(self, method, path, accept=None):
        """The status, the media type and the text of an answer."""
        request = urllib.request.Request(self.base + path, method=method)
        if accept:
            request.add_header("Accept", accept)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.headers["Content-Type"], error.read().decode()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(timeout=PATIENCE)
        self.said.close()
        return code


def lay_out(yard):
    """The config and the files that it speaks of."""
    (yard / "config").mkdir()
    (yard / "config" / "janitor.toml").write_text(CONFIG.replace("ARCHIVE", str(yard / "archive")))
    for name in ["done", "partial", "held", "paused", "dry", "full", "trash", "never", "off", "odd"]:
        (yard / name).mkdir()
        for number in range(3):
            (yard / name / f"{number}.png").write_text("content")
    # A file is where a directory would have to be.
    (yard / "archive").mkdir()
    (yard / "archive" / "blocked").write_text("in the way")
    (yard / "partial" / "blocked").mkdir()
    (yard / "partial" / "blocked" / "0.png").write_text("content")


def make_states(daemon):
    """Brings the targets into their states."""
    outcomes = {}
    for name in ["done", "partial", "held", "dry", "full", "failed", "trash"]:
        answer = json.loads(daemon.ask("POST", f"/cleanup/manual?target={name}")[2])
        outcomes[name] = answer["runs"][0]["outcome"]
    daemon.ask("POST", "/cleanup/stop?target=paused")
    daemon.ask("POST", "/cleanup/manual?target=never&dry_run=true")
    wanted = {
        "done": "done", "held": "held", "dry": "done", "full": "done", "failed": "failed", "trash": "done",
        "partial": "partial",
    }  # fmt: skip
    check("the targets are in all kinds of states", outcomes == wanted, f"{outcomes}, wanted {wanted}")


def check_metrics(daemon, what):
    """promtool takes the metrics as they are, and has nothing to say of them."""
    status, media_type, text = daemon.ask("GET", "/metrics")
    classic = "text/plain; version=0.0.4; charset=utf-8"
    check(f"/metrics of {what} is text", (status, media_type) == (200, classic), f"{status} {media_type}")
    fine, said = run(["promtool", "check", "metrics"], input=text.encode())
    check(f"promtool has nothing to say of /metrics of {what}", fine and not said.strip(), said)
    status, media_type, text = daemon.ask("GET", "/metrics", "application/openmetrics-text;version=1.0.0")
    is_open = status == 200 and media_type.startswith("application/openmetrics-text;") and text.endswith("# EOF\n")
    check(f"/metrics of {what} is OpenMetrics where that is asked for", is_open, f"{status} {media_type}")


def check_rules():
    """The alerts are rules, and fire when they should."""
    for what, command in [
        ("the alerts are rules", ["promtool", "check", "rules", "--lint-fatal", "alerts.yml"]),
        ("the alerts fire when they should and not else", ["promtool", "test", "rules", "alerts_test.yml"]),
        ("the snippet of a config is one", ["promtool", "check", "config", "prometheus.yml"]),
    ]:
        check(what, *run(command, cwd=MONITORING))


def dashboard_queries():
    """The queries of the dashboard, with its variables filled in."""
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    variables = {"$job": ".*", "$instance": ".*", "$target": ".*", "$__rate_interval": "1m"}
    for panel in dashboard["panels"]:
        for query in panel.get("targets", []):
            expression = query["expr"]
            for name, value in variables.items():
                expression = expression.replace(name, value)
            yield panel["title"], expression


def check_prometheus(daemon, temporary):
    """Prometheus itself scrapes the daemon by the shipped config, and understands all rules and queries."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    port = daemon.base.removeprefix("http://")
    config = (MONITORING / "prometheus.yml").read_text().replace("127.0.0.1:8000", port).replace("30s", "1s")
    (temporary / "prometheus.yml").write_text(config)
    shutil.copy(MONITORING / "alerts.yml", temporary)
    command = ["prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=tsdb"]
    with open(temporary / "prometheus.log", "wb") as log:
        server = subprocess.Popen([*command, f"--web.listen-address={address}"], cwd=temporary, stdout=log, stderr=log)

    def ask(path):
        with urllib.request.urlopen(f"http://{address}/api/v1/{path}", timeout=PATIENCE) as answer:
            return json.load(answer)["data"]

    def query(expression):
        return ask(f"query?query={urllib.parse.quote(expression)}")["result"]

    try:
        deadline, up = time.monotonic() + PATIENCE, []
        while time.monotonic() < deadline and not (up and up[0]["value"][1] == "1"):
            time.sleep(0.2)
            try:
                up = query("up")
            except OSError:
                pass
        said = (temporary / "prometheus.log").read_text(errors="replace")[-2000:]
        check("Prometheus scrapes the daemon", up and up[0]["value"][1] == "1", said)
        if not up:
            return
        held = [sample["metric"]["target"] for sample in query("janitor_target_held == 1")]
        check("Prometheus knows which target is held", held == ["held"], str(held))
        groups = ask("rules")["groups"]
        health = {rule["name"]: rule["health"] for group in groups for rule in group["rules"]}
        check("no rule is broken", len(health) >= 10 and "err" not in health.values(), str(health))
        broken = []
        for title, expression in dashboard_queries():
            try:
                query(expression)
            except urllib.error.HTTPError as error:
                broken.append(f"{title}: {expression}: {error}")
        check("every query of the dashboard is one", not broken, "\n".join(broken))
    finally:
        server.terminate()
        server.wait(timeout=PATIENCE)


def check_description(daemon, temporary):
    """What answers is what is described, whatever is asked."""
    _, _, text = daemon.ask("GET", "/openapi.json")
    description = temporary / "openapi.json"
    description.write_text(text)
    home = temporary / "venv"
    venv.create(home, with_pip=True)
    fine, said = run([home / "bin" / "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS])
    check("schemathesis can be installed", fine, said)
    if not fine:
        return
    # The events never end, so what sends requests one after the other would wait for them for ever.
    command = [
        home / "bin" / "schemathesis", "run", description, "--url", daemon.base, "--exclude-path", "/cleanup/events",
        "--checks", ",".join(CHECKS), "--phases", "coverage,fuzzing", "--max-examples", str(EXAMPLES),
        "--seed", str(SEED), "--request-timeout", "20", "--continue-on-failure", "--warnings", "off", "--no-color",
    ]  # fmt: skip
    fine, said = run(command, cwd=temporary)
    tested = re.search(r"Tested: (\d+)", said)
    operations = sum(len(methods) for methods in json.loads(text)["paths"].values()) - 1
    check("every answer is as the description says", fine, said)
    check("every operation but the events was tried", tested and int(tested[1]) == operations, said)
    cases = re.search(r"(\d+) generated", said)
    print(f"        {cases[0] if cases else 'no'} cases, {operations} operations", flush=True)
    check("the daemon lives", daemon.process.poll() is None and daemon.ask("GET", "/readyz")[0] == 200)
    log = (daemon.yard / "cleanup_scheduler.log").read_text(errors="replace")
    check("nothing failed inside the daemon", "inside the daemon" not in log and "panicked" not in log, log[-4000:])


def main():
    if len(sys.argv) != 2:
        sys.exit("usage: run.py JANITOR")
    for tool in ["promtool", "prometheus"]:
        if not shutil.which(tool):
            sys.exit(f"{tool} is missing (Debian: apt-get install prometheus)")
    binary = Path(sys.argv[1]).resolve()
    check_rules()
    with tempfile.TemporaryDirectory(prefix="janitor-conformance-") as temporary:
        yard = Path(temporary) / "yard"
        yard.mkdir()
        lay_out(yard)
        daemon = Daemon(binary, yard)
        try:
            check_metrics(daemon, "a daemon that has done nothing yet")
            make_states(daemon)
            check_metrics(daemon, "one whose targets are in all states")
            check_prometheus(daemon, Path(temporary))
            check_description(daemon, Path(temporary))
            check_metrics(daemon, "one that was asked everything")
        finally:
            code = daemon.end()
        check("the daemon ends as it should", code == 0, str(code))
    print(f"conformance: {passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
