"""The daemon's own user looks at it, and needs no token."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from page import PHONE, WIDE, Keys, Page
from yard import NOBODY, Yard, free_port, until

ZONE = "Pacific/Auckland"
IMAGE = "<img src=x onerror=window.pwned=1>"
HOSTILE = [IMAGE, '"><script>window.pwned=1</script>', "new\nline", "turned\u202egpj.exe", b"not\xfftext"]
SLOW = 300

CONFIG = """
timezone = "Pacific/Auckland"

[admin]
listen = "127.0.0.1:{port}"

[defaults]
schedule = "0 2 * * *"
threads = 1

[[target]]
path = "uploads"
include = ["**"]
older_than = "7d"

[[target]]
path = "big"
include = ["**"]
older_than = "7d"

[[target]]
path = "binned"
include = ["**"]
older_than = "7d"
action = "trash"

[[target]]
path = "guarded"
include = ["**"]
older_than = "7d"
max_deletes = 3

[[target]]
path = "scarce"
include = ["**"]
older_than = "300d"
min_free = "1MB"

[[target]]
path = "locked"
include = ["**"]
older_than = "7d"

[[target]]
path = "resting"
include = ["**"]
enabled = false
"""


def begin(room):
    yard = Yard(room, "own", NOBODY, free_port())
    for name in HOSTILE:
        yard.file(b"uploads/" + (name if isinstance(name, bytes) else name.encode()), days=9, size=4096)
    for number in range(3):
        yard.file(f"uploads/fresh{number}", days=1)
        yard.file(f"binned/{number}/photo.jpg", days=20, size=50_000)
    for number in range(SLOW):
        # A sweep counts for others at the end of each directory.
        yard.file(f"big/{number % 30}/{number:03}.tmp", days=10, size=8192)
    for number in range(8):
        yard.file(f"guarded/{number}.log", days=30, size=10_000)
    yard.file("locked/open/old", days=30)
    yard.file("locked/shut/old", days=30)
    yard.file("scarce/young")
    yard.file("resting/any")
    yard.config(CONFIG.format(port=yard.port))
    yard.start(slow=True)
    return yard, Page(room, yard)


def one_answer_holds_the_whole_page_under_a_strict_policy(yard, page):
    headers, text = yard.get("/")
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "*" not in policy, policy
    assert headers["Content-Type"] == "text/html; charset=utf-8", headers["Content-Type"]
    for kind in ("script-src 'sha256-", "style-src 'sha256-", "frame-ancestors 'none'", "connect-src 'self'"):
        assert kind in policy, policy
    for foreign in ("<script src", "<link rel=\"stylesheet", "@import", "url(", "/*STYLE*/", "/*SCRIPT*/"):
        assert foreign not in text, foreign


def the_first_load_says_that_all_is_well(yard, page):
    page.open()
    page.wait_text("#verdict", "All is well")
    page.wait_text("#news", "live")
    assert page.run("return document.title") == "janitor"
    assert sorted(page.texts("#targets .name a")) == sorted("uploads big binned guarded scarce locked resting".split())
    page.wait_text("#facts", "in force")
    page.wait_text("#facts", "nothing" if yard.status()["next_run"] is None else "02:00")
    page.wait_text("#ran", "Nothing has run yet")


def times_are_those_of_the_daemon(yard, page):
    # The browser's zone is UTC.
    there = datetime.now(ZoneInfo(ZONE))
    due = there.replace(hour=2, minute=0, second=0, microsecond=0)
    due += timedelta(days=1) if due <= there else timedelta()
    text = page.text("#next")
    assert f"{'today' if due.date() == there.date() else 'tomorrow'} 02:00" in text, text
    hours = int((due - there) / timedelta(hours=1))
    assert f"in {hours} h" in text or hours == 0 or f"in {hours - 1} h" in text, (hours, text)


def a_target_says_its_policy_and_its_disk(yard, page):
    page.click('#targets a[href="#target/scarce"]')
    page.wait_text("#policy", "less than 1.0 MB of the file system is free")
    page.wait_text("#target", "watermark 1.0 MB")
    assert page.seen(".diskbar .watermark")
    assert page.focused() == "target-title"
    assert page.run("return location.hash") == "#target/scarce"


def escape_goes_back_to_where_one_came_from(yard, page):
    page.press(Keys.ESCAPE)
    page.wait("#targets")
    until("the focus is on the link again", lambda: page.focused() == "A scarce")


def a_link_to_a_target_can_be_kept(yard, page):
    page.open("#target/guarded")
    page.wait_text("#policy", "a run that would take more than 3 files is held")
    page.open("#target/no%20such")
    page.wait_text("#target", "There is no target of this name")
    page.click(".back")
    page.wait("#targets")


def the_preview_names_what_would_go_and_why(yard, page):
    page.open("#target/uploads")
    page.click(page.do("preview", "uploads"))
    page.wait_text("#previewed", "5 files, ")
    page.wait_text("#previewed", "would go now")
    assert len(page.all("#target .files tbody tr")) == 5
    page.wait_text("#target .files", "older_than")


def hostile_names_are_text(yard, page):
    shown = page.texts("#target .files tbody .path")
    expected = [IMAGE, '"><script>window.pwned=1</script>', "new\\nline", "turned\\u{202e}gpj.exe", "not\\xFFtext"]
    assert sorted(shown) == sorted(expected), shown
    assert page.run("return window.pwned") is None
    assert not page.all("#target img, #target script")


def the_preview_looks_ahead(yard, page):
    page.run("const when = document.getElementById('horizon'); when.value = '14d'")
    page.click("#kept")
    page.click(page.do("preview", "uploads"))
    page.wait_text("#previewed", "8 files, ")
    page.wait_text("#previewed", "in two weeks")
    page.accessible("target with a preview")


def a_question_is_dropped_with_escape(yard, page):
    button = page.wait(page.do("run", "uploads"))
    page.run("arguments[0].focus()", button)
    page.press(Keys.ENTER)
    said = page.confirm()
    assert "5 files, " in said and "deleted for good" in said and IMAGE in said, said
    assert page.focused() == "BUTTON Cancel", page.focused()
    page.accessible("question")
    page.look(PHONE, dark=True)
    page.accessible("question on a phone, dark")
    page.look()
    page.press(Keys.ESCAPE)
    page.gone("#confirm")
    assert page.focused() == "BUTTON Run now…", page.focused()
    assert len(yard.files("uploads")) == 8
    assert yard.target("uploads")["last_run"] is None


def a_live_run_is_started_from_the_page(yard, page):
    page.open("#target/big")
    page.click(page.do("run", "big"))
    said = page.confirm()
    assert f"{SLOW} files, 2.5 MB, in {yard.path}/big will be deleted for good" in said, said[:500]
    assert page.text("#confirm-go") == f"Delete {SLOW} files"
    page.answer()
    page.wait("#running")
    assert page.text("#news") == "live"

    def deleted():
        words = page.text("#running").replace(" files ", " ").replace(" file ", " ").split()
        return int(words[words.index("deleted,") - 1]) if "deleted," in words else 0

    first = until("progress is shown", deleted)
    until("progress goes on", lambda: deleted() > first)
    page.accessible("running")
    page.shot("own-running")
    assert "big: " in page.text("#said") and "deleted" in page.text("#said"), page.text("#said")
    page.wait_text("#notice", f"big: done, {SLOW} files deleted")
    page.gone("#running")
    assert yard.files("big") == []


def what_it_freed_is_drawn(yard, page):
    page.wait("#target svg.chart .freed")
    label = page.wait("#target svg.chart").get_attribute("aria-label")
    assert label.startswith("Bytes freed by the last 1 run: 2.5 MB together"), label
    page.wait_text("#target .run summary", f"{SLOW} files")
    page.click("#target .run summary")
    page.wait_text("#target .run .report", "Candidates")
    page.open()
    page.wait("#targets .spark rect")
    page.wait_text("#facts", "2.5 MB")
    page.wait_text("#ran", "big")


def a_rejected_config_appears_with_its_line_and_a_caret(yard, page):
    page.look()
    page.open()
    yard.config(CONFIG.format(port=yard.port).replace("max_deletes = 3", "max_deletse = 3"))
    page.wait_text("#rejection pre", "max_deletse = 3")
    text = page.text("#rejection pre")
    line = next(line for line in text.splitlines() if "max_deletse = 3" in line)
    caret = text.splitlines()[text.splitlines().index(line) + 1]
    assert caret.find("^") == line.find("max_deletse"), text
    assert "max_deletes" in text and "janitor.toml:" in text, text
    page.wait_text("#verdict", "Something is wrong")
    page.wait_text("#facts", "rejected")
    until("the title tells it", lambda: page.run("return document.title") == "(1) janitor")
    page.accessible("rejected config")
    page.look(PHONE, dark=True)
    page.fits()
    page.accessible("rejected config on a phone, dark")
    page.shot("own-rejected-phone")
    page.look()


def reading_it_again_says_what_is_wrong(yard, page):
    page.click(page.do("reload"))
    page.wait("#notice.bad")
    page.click(page.do("dismiss"))
    page.gone("#notice")


def a_mended_config_disappears(yard, page):
    yard.config(CONFIG.format(port=yard.port))
    page.gone("#rejection")
    page.wait_text("#verdict", "All is well")
    page.wait_text("#facts", "in force")


def a_run_that_a_guard_holds_is_told_beforehand(yard, page):
    page.open("#target/guarded")
    page.click(page.do("run", "guarded"))
    said = page.confirm()
    assert "The run will be held, and remove nothing" in said, said
    page.answer()
    page.wait_text("#target .warning", "8 files would go")
    page.open()
    page.wait_text("#held", "guarded: 8 files would go, more than max_deletes 3")
    page.wait_text("#verdict", "Something waits for you")
    assert len(yard.files("guarded")) == 8
    page.accessible("held")


def a_held_run_is_released(yard, page):
    page.click(page.do("release", "guarded"))
    said = page.confirm()
    assert "max_deletes" in said and "8 files" in said and "deleted for good" in said, said
    assert len(yard.files("guarded")) == 8
    page.shot("own-release")
    page.answer()
    page.wait_text("#notice", "guarded: done, 8 files deleted")
    page.gone("#held")
    page.wait_text("#verdict", "All is well")
    assert yard.files("guarded") == []


def a_target_is_paused_and_started(yard, page):
    page.open("#target/uploads")
    page.click(page.do("pause", "uploads"))
    page.wait_text("#target .head", "paused")
    assert yard.target("uploads")["state"] == "paused"
    page.wait(page.do("start", "uploads"))
    page.open()
    page.wait_text("#health", "1 target is paused: uploads")
    page.open("#target/uploads")
    page.click(page.do("start", "uploads"))
    page.wait_text("#target .head", "scheduled")
    assert yard.target("uploads")["state"] == "scheduled"


def everything_is_paused_and_started(yard, page):
    page.open()
    page.click(page.do("pause"))
    page.wait_text("#verdict", "Something waits for you")
    page.wait_text("#facts", "stopped")
    assert yard.status()["is_running"] is False
    page.click(page.do("start"))
    page.wait_text("#verdict", "All is well")
    assert yard.status()["is_running"] is True


def what_a_run_put_into_the_trash_is_put_back(yard, page):
    page.open("#target/binned")
    page.click(page.do("run", "binned"))
    said = page.confirm()
    assert "3 files, " in said and "go to the trash" in said, said
    page.answer()
    page.wait_text("#notice", "binned: done")
    assert yard.files("binned") == []
    page.click("#target .run summary")
    page.click(page.do("undo", "binned"))
    said = page.confirm()
    assert "3 files, " in said and "put back" in said and "Nothing is overwritten" in said, said
    page.answer()
    page.wait_text("#notice", "binned: 3 files put back")
    assert len(yard.files("binned")) == 3
    page.gone(page.do("undo", "binned"))


def a_run_that_was_only_partly_done_says_what_failed(yard, page):
    (yard.path / "locked/shut").chmod(0)
    page.open("#target/locked")
    page.click(page.do("run", "locked"))
    page.confirm()
    page.answer()
    page.wait_text("#target .why", "Permission denied")
    page.click("#target .run summary")
    page.wait_text("#target .report", "shut")
    page.accessible("target with a report")
    page.shot("own-partial")
    page.open()
    page.wait_text("#health", "only partly done: locked")
    (yard.path / "locked/shut").chmod(0o755)
    page.open("#target/locked")
    page.click(page.do("run", "locked"))
    page.confirm()
    page.answer()
    page.wait_text("#notice", "locked: done")


def a_run_from_elsewhere_is_seen_at_once(yard, page):
    page.open()
    yard.file("uploads/late", days=9)
    page.open("#target/uploads")
    page.wait_text("#news", "live")
    page.run("fetch('/cleanup/manual?target=uploads&wait=false', { method: 'POST' })")
    page.wait_text("#notice", "uploads: done, 6 files deleted")
    page.wait_text("#target .run summary", "6 files")


def it_is_accessible_and_fits_light_dark_and_on_a_phone(yard, page):
    for where in ("", "#target/big"):
        page.look()
        page.open(where)
        page.wait("#target svg.chart" if where else "#targets .spark rect")
        grounds = {}
        for size, dark in ((WIDE, False), (WIDE, True), (PHONE, False), (PHONE, True)):
            page.look(size, dark)
            page.fits()
            page.accessible(f"{where or 'overview'} {size} {'dark' if dark else 'light'}")
            page.shot(f"own-{where[8:] or 'overview'}-{size[0]}-{'dark' if dark else 'light'}")
            grounds[dark] = page.run("return getComputedStyle(document.documentElement).backgroundColor")
        light, night = (sum(json.loads(ground.replace("rgb(", "[").replace(")", "]"))) for ground in (grounds[False], grounds[True]))
        assert light > 600 and night < 150, grounds
    page.look()


def nothing_moves_for_those_who_want_it_calm(yard, page):
    page.look(calm=True)
    page.open()
    assert page.run("const made = document.createElement('span'); made.className = 'badge live'; document.body.append(made);"
                    "const name = getComputedStyle(made, '::before').animationName; made.remove(); return name") == "none"
    page.look()


def everything_can_be_reached_with_the_keyboard(yard, page):
    page.open()
    page.wait("#targets .name a")
    reached = set()
    page.run("document.activeElement.blur()")
    for _ in range(80):
        page.press(Keys.TAB)
        reached.add(page.run("const on = document.activeElement; return on.dataset?.do ?? on.getAttribute('href') ?? on.id"))
        box = page.run("const on = document.activeElement; const { outlineStyle, outlineWidth } = getComputedStyle(on);"
                       "return [on.tagName, outlineStyle, parseFloat(outlineWidth)]")
        assert box[0] == "BODY" or box[1] != "none" and box[2] >= 2, f"the focus is not seen: {box}"
    wanted = {"skip", "pause", "reload", "filter", "sort", "#target/resting"}
    assert wanted <= reached, wanted - reached


def it_notices_that_the_daemon_is_gone_and_comes_back(yard, page):
    page.open()
    page.wait_text("#news", "live")
    # From here on the browser may say that it cannot reach the daemon.
    page.collect()
    before = len(page.complaints)
    yard.stop()
    page.wait_text("#verdict", "The daemon cannot be reached")
    page.wait_text("#news", "unreachable")
    page.shot("own-unreachable")
    yard.start()
    page.wait_text("#verdict", "All is well", 90)
    page.wait_text("#news", "live", 90)
    page.collect()
    late = page.complaints[before:]
    assert all("net::ERR_" in complaint for complaint in late), late
    del page.complaints[before:]


def it_asks_only_its_own_daemon_and_complains_of_nothing(yard, page):
    complaints, fetched = page.collect()
    # A browser notes by itself that reading a wrong config again was answered with 422.
    other = [text for text in complaints if "/cleanup/reload - " not in text or "status of 422" not in text]
    assert other == [], other
    assert len(fetched) > 50, fetched
    assert page.foreign() == [], page.foreign()
    assert page.run("return [localStorage.length, sessionStorage.length, document.cookie]") == [0, 0, ""]


CHECKS = [
    one_answer_holds_the_whole_page_under_a_strict_policy,
    the_first_load_says_that_all_is_well,
    times_are_those_of_the_daemon,
    a_target_says_its_policy_and_its_disk,
    escape_goes_back_to_where_one_came_from,
    a_link_to_a_target_can_be_kept,
    the_preview_names_what_would_go_and_why,
    hostile_names_are_text,
    the_preview_looks_ahead,
    a_question_is_dropped_with_escape,
    a_live_run_is_started_from_the_page,
    what_it_freed_is_drawn,
    a_rejected_config_appears_with_its_line_and_a_caret,
    reading_it_again_says_what_is_wrong,
    a_mended_config_disappears,
    a_run_that_a_guard_holds_is_told_beforehand,
    a_held_run_is_released,
    a_target_is_paused_and_started,
    everything_is_paused_and_started,
    what_a_run_put_into_the_trash_is_put_back,
    a_run_that_was_only_partly_done_says_what_failed,
    a_run_from_elsewhere_is_seen_at_once,
    it_is_accessible_and_fits_light_dark_and_on_a_phone,
    nothing_moves_for_those_who_want_it_calm,
    everything_can_be_reached_with_the_keyboard,
    it_notices_that_the_daemon_is_gone_and_comes_back,
    it_asks_only_its_own_daemon_and_complains_of_nothing,
]
