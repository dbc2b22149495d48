"""Chromium on the dashboard: what it shows, what it does, what it fetches and what it complains about."""

import base64
import json
import os
import tempfile

from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from yard import NOBODY, until

FLAGS = """--headless=new --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage""".split()

WIDE, PHONE = (1280, 900), (360, 740)


class Page:
    """One browser, of an ordinary user, on one daemon."""

    def __init__(self, room, yard):
        self.yard = yard
        self.home = tempfile.mkdtemp(dir=room)
        os.chown(self.home, NOBODY, NOBODY)
        self.axe = (room / "node_modules/axe-core/axe.min.js").read_text()
        options = webdriver.ChromeOptions()
        for flag in [*FLAGS, f"--user-data-dir={self.home}/profile"]:
            options.add_argument(flag)
        options.binary_location = "/usr/bin/chromium"
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        env = {"PATH": os.environ["PATH"], "HOME": self.home, "TMPDIR": self.home, "TZ": "UTC"}
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        service = webdriver.ChromeService("/usr/bin/chromedriver", env=env, popen_kw=who)
        self.driver = webdriver.Chrome(options=options, service=service)
        self.driver.set_script_timeout(120)
        self.complaints, self.fetched = [], []
        self.look()

    def quit(self):
        self.driver.quit()

    def look(self, size=WIDE, dark=False, calm=False):
        """How wide the window is, and what its user prefers."""
        width, height = size
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": size == PHONE}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        features = [
            {"name": "prefers-color-scheme", "value": "dark" if dark else "light"},
            {"name": "prefers-reduced-motion", "value": "reduce" if calm else "no-preference"},
        ]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, where=""):
        """Loads the page anew."""
        self.driver.get("about:blank")
        self.driver.get(f"{self.yard.origin}/{where}")
        until("the page knows the status", lambda: self.text("#verdict") not in ("", "Asking the daemon …"))

    def go(self, where):
        """Goes to another place of the page that is loaded."""
        self.driver.execute_script("location.hash = arguments[0]", where)

    def all(self, selector):
        return self.driver.find_elements(By.CSS_SELECTOR, selector)

    def seen(self, selector):
        """The first that is displayed."""
        try:
            return next((node for node in self.all(selector) if node.is_displayed()), None)
        except StaleElementReferenceException:
            return None

    def text(self, selector):
        """What stands there, or nothing while it is being drawn anew."""
        return self.run("return document.querySelector(arguments[0])?.innerText ?? ''", selector)

    def texts(self, selector):
        return self.run("return [...document.querySelectorAll(arguments[0])].map(node => node.textContent)", selector)

    def run(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def wait(self, selector, seconds=60):
        return until(f"{selector} is seen", lambda: self.seen(selector), seconds)

    def gone(self, selector, seconds=60):
        until(f"{selector} is gone", lambda: not self.seen(selector), seconds)

    def wait_text(self, selector, part, seconds=60):
        def has():
            return part in self.text(selector)

        try:
            until(f"{selector} says {part!r}", has, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}; it says {self.text(selector)!r}") from None

    def click(self, selector):
        node = self.wait(selector)
        self.run("arguments[0].scrollIntoView({ block: 'center' })", node)
        node.click()

    def press(self, *keys):
        """On the keyboard, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def do(self, what, target=None):
        """The selector of a button."""
        return f'[data-do="{what}"]' + (f'[data-target="{target}"]' if target else "")

    def focused(self):
        return self.run("const { tagName, id, innerText } = document.activeElement; return id || `${tagName} ${innerText}`")

    def confirm(self):
        """Waits until the question can be answered, and says what it says, on one line."""
        until("the question can be answered", lambda: self.run("return !document.getElementById('confirm-go').disabled"))
        return " ".join(self.text("#confirm").split())

    def answer(self):
        self.click("#confirm-go")
        self.gone("#confirm")

    def fits(self):
        """Nothing is wider than the window."""
        wide = self.run(
            "const most = document.documentElement.clientWidth;"
            "const over = [...document.querySelectorAll('body *')].filter(node => node.getBoundingClientRect().right > most + 1"
            "  && !node.closest('.scroll, pre, .unseen, .skip, thead'));"
            "return [document.documentElement.scrollWidth > most, over.map(node => node.outerHTML.slice(0, 120))]"
        )
        assert wide == [False, []], f"wider than the window: {wide}"

    def accessible(self, where):
        """axe-core finds nothing serious."""
        # By way of the debugger: the page itself lets no foreign script in.
        self.driver.execute_cdp_cmd("Runtime.evaluate", {"expression": self.axe})
        found = self.driver.execute_async_script(
            "const done = arguments[0];"
            "axe.run(document, { resultTypes: ['violations'] }).then(done, error => done({ broken: String(error) }))"
        )
        assert "broken" not in found, found
        assert len(found["passes"]) > 10, f"{where}: axe looked at next to nothing"
        bad = [
            (one["impact"], one["id"], [node["html"][:200] for node in one["nodes"][:3]])
            for one in found["violations"] if one["impact"] in ("serious", "critical")
        ]
        assert not bad, f"{where}: {bad}"

    def shot(self, name):
        """A picture of the whole page, for people; only when it was asked for."""
        directory = os.environ.get("JANITOR_SHOTS")
        if not directory:
            return
        height = self.run("return document.documentElement.scrollHeight")
        width = self.run("return innerWidth")
        modal = self.run("return document.querySelector('dialog[open]') !== null")
        about = {"format": "png"}
        if not modal:
            about |= {"captureBeyondViewport": True, "clip": {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}}
        picture = self.driver.execute_cdp_cmd("Page.captureScreenshot", about)
        os.makedirs(directory, exist_ok=True)
        with open(os.path.join(directory, f"{name}.png"), "wb") as out:
            out.write(base64.b64decode(picture["data"]))

    def recover(self):
        """After a check that failed: no dialog is open, and the window is what it was."""
        self.run("for (const dialog of document.querySelectorAll('dialog[open]')) dialog.close('')")
        self.look()

    def collect(self):
        """What the browser has complained about, and every address it asked for, with the headers."""
        self.complaints += [entry["message"] for entry in self.driver.get_log("browser")]
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] in ("Network.requestWillBeSent", "Network.webSocketCreated"):
                about = message["params"]
                request = about.get("request", about)
                self.fetched.append((request["url"], request.get("headers", {})))
        return self.complaints, self.fetched

    def foreign(self):
        """What was asked for elsewhere. What a browser has in itself (its page for a new tab) is not elsewhere."""
        own = (f"{self.yard.origin}/", "data:", "about:blank", "chrome://")
        return [url for url, _ in self.fetched if not url.startswith(own)]


__all__ = ["Page", "Keys", "WIDE", "PHONE"]
