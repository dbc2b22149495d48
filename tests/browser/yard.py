"""A daemon in a directory of its own, and what is asked of it without a browser."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

NOBODY = 65534
DAY = 86400
# Where the daemons think they are: far from UTC, where the browser is.
ZONE = "Pacific/Auckland"


def until(what, condition, seconds=60):
    """Waits until the condition holds, and returns what it returned."""
    end = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > end:
            raise AssertionError(f"within {seconds} s it did not come to this: {what}")
        time.sleep(0.05)


def far_off():
    """An hour of the day, there, that is about twelve hours away: nothing runs by itself meanwhile."""
    return (datetime.now(ZoneInfo(ZONE)) + timedelta(hours=12)).hour


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Yard:
    """Targets below one directory, a config, and the daemon that keeps them clean."""

    def __init__(self, room, name, owner, port=0):
        self.path = room / name
        self.janitor = room / "janitor"
        self.owner = owner
        self.port = port
        self.daemon = None
        self.path.mkdir()
        self.own(self.path)

    def own(self, path):
        os.chown(path, self.owner, self.owner, follow_symlinks=False)

    def file(self, place, days=0, size=1000):
        """A file that was modified so many days ago. The place may be bytes."""
        path = os.path.join(os.fsencode(self.path), os.fsencode(place))
        missing, directory = [], os.path.dirname(path)
        while not os.path.isdir(directory):
            missing.append(directory)
            directory = os.path.dirname(directory)
        for directory in reversed(missing):
            os.mkdir(directory, 0o755)
            self.own(directory)
        with open(path, "wb") as out:
            out.write(b"x" * size)
        self.own(path)
        then = time.time() - days * DAY
        os.utime(path, (then, then))

    def files(self, target):
        """The regular files below a target, without what janitor keeps there."""
        return sorted(
            str(path.relative_to(self.path / target))
            for path in (self.path / target).rglob("*")
            if path.is_file() and ".janitor" not in str(path)
        )

    def config(self, text):
        """Saves the config, in one step, as editors do."""
        fresh = self.path / "janitor.toml.new"
        fresh.write_text(text)
        self.own(fresh)
        fresh.rename(self.path / "janitor.toml")

    def start(self, slow=False):
        """Starts the daemon. A slow one takes 25 ms for each file, so that its runs can be looked at."""
        log = self.path / "cleanup_scheduler.log"
        seen = log.stat().st_size if log.exists() else 0
        command = [str(self.janitor), "run", "--config", "janitor.toml"]
        if slow:
            calls = ["-e", "trace=unlinkat", "-e", "inject=unlinkat:delay_enter=25ms"]
            command = ["strace", "-f", "-qq", "-o", "/dev/null", *calls, "--", *command]
        self.daemon = subprocess.Popen(
            command, cwd=self.path, user=self.owner, group=self.owner, extra_groups=[],
            stdout=subprocess.DEVNULL, stderr=(self.path / "stderr").open("ab"), start_new_session=True,
            env={"PATH": os.environ["PATH"], "HOME": str(self.path), "TZ": ZONE},
        )

        def listening():
            if self.daemon.poll() is not None:
                raise AssertionError(f"the daemon has ended: {(self.path / 'stderr').read_text()}")
            said = log.read_text()[seen:] if log.exists() else ""
            lines = [line for line in said.splitlines() if "Admin port listening on " in line]
            return lines and "started successfully" in said and int(lines[-1].rsplit(":", 1)[1])

        self.port = until("the daemon listens", listening)
        return self

    def stop(self):
        if self.daemon and self.daemon.poll() is None:
            # The whole session: strace and what it looks at.
            os.killpg(self.daemon.pid, signal.SIGTERM)
            self.daemon.wait(timeout=30)

    def remove(self):
        self.stop()
        shutil.rmtree(self.path)

    @property
    def origin(self):
        return f"http://127.0.0.1:{self.port}"

    def get(self, path):
        """Headers and JSON (or text) of what everybody may read."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read().decode()
        is_json = answer.headers["Content-Type"].startswith("application/json")
        return answer.headers, json.loads(body) if is_json else body

    def status(self):
        return self.get("/cleanup/status")[1]["scheduler_status"]

    def target(self, name):
        return next(target for target in self.status()["targets"] if target["name"] == name)

    def log(self):
        return (self.path / "cleanup_scheduler.log").read_text()
