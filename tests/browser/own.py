"""The daemon's own user looks at it, and needs no token."""

import json
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import orders
import scene
from page import PHONE, WIDE, Keys
from scene import IMAGE
from yard import ZONE, until

begin = scene.begin


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
    page.wait_text("#facts", f"{yard.hour:02}:00")
    page.wait_text("#ran", "Nothing has run yet")


def times_are_those_of_the_daemon(yard, page):
    # The browser's zone is UTC.
    def as_expected():
        there = datetime.now(ZoneInfo(ZONE))
        due = there.replace(hour=yard.hour, minute=0, second=0, microsecond=0)
        due += timedelta(days=1) if due <= there else timedelta()
        day = "today" if due.date() == there.date() else "tomorrow"
        text = page.text("#next")
        return f"{day} {yard.hour:02}:00" in text and f"in {int((due - there) / timedelta(hours=1))} h" in text

    until("the page says when the next runs are", as_expected)


def a_target_says_its_policy_and_its_disk(yard, page):
    page.click('#targets a[href="#target/scarce"]')
    page.wait_text("#policy", "less than 0.1% of the file system is free")
    page.wait_text("#target", "watermark ")
    page.wait_text("#target", " free")
    assert page.all("#target .diskbar .watermark")[0].get_attribute("x1") == "99.9%"
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
    page.click(page.do("pause"))
    page.click(page.do("start"))
    page.wait_text("#verdict", "All is well")
    # From here on the browser may say that the daemon is shutting down, and that it cannot be reached.
    page.collect()
    before, asked = len(page.complaints), len(page.fetched)
    yard.stop()
    page.wait_text("#verdict", "The daemon cannot be reached")
    page.wait_text("#news", "unreachable")
    page.shot("own-unreachable")
    yard.start()
    page.wait_text("#verdict", "All is well", 90)
    page.wait_text("#news", "live", 90)
    page.collect()
    late = page.complaints[before:]
    assert all("net::ERR_" in complaint or "status of 503" in complaint for complaint in late), late
    del page.complaints[before:]
    resumed = [headers for url, headers in page.fetched[asked:] if url.endswith("/cleanup/events")]
    assert resumed and all("Last-Event-ID" in headers for headers in resumed), resumed


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
    orders.a_live_run_is_started_from_the_page,
    orders.what_it_freed_is_drawn,
    orders.a_rejected_config_appears_with_its_line_and_a_caret,
    orders.reading_it_again_says_what_is_wrong,
    orders.a_mended_config_disappears,
    orders.a_target_over_its_limit_is_amber,
    orders.a_run_that_a_guard_holds_is_told_beforehand,
    orders.a_held_run_is_released,
    orders.a_target_is_paused_and_started,
    orders.everything_is_paused_and_started,
    orders.what_a_run_put_into_the_trash_is_put_back,
    orders.a_run_that_was_only_partly_done_says_what_failed,
    orders.a_run_from_elsewhere_is_seen_at_once,
    orders.a_run_is_stopped_before_its_next_file,
    it_is_accessible_and_fits_light_dark_and_on_a_phone,
    nothing_moves_for_those_who_want_it_calm,
    everything_can_be_reached_with_the_keyboard,
    it_notices_that_the_daemon_is_gone_and_comes_back,
    it_asks_only_its_own_daemon_and_complains_of_nothing,
]
