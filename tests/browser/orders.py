"""What is done by way of the page, and what becomes of it."""

from page import PHONE
from scene import SLOW, config, fill
from yard import until


def a_live_run_is_started_from_the_page(yard, page):
    page.open("#target/big")
    page.click(page.do("run", "big"))
    said = page.confirm()
    assert f"{SLOW} files, 2.5 MB, in {yard.path}/big will be deleted for good" in said, said[:500]
    assert page.text("#confirm-go") == f"Delete {SLOW} files"
    page.answer()
    page.wait("#running")
    assert page.text("#news") == "live"

    def gone():
        words = page.text("#running").replace(" files ", " ").replace(" file ", " ").split()
        return int(words[words.index("gone,") - 1]) if "gone," in words else 0

    first = until("progress is shown", gone)
    until("progress goes on", lambda: gone() > first)
    page.accessible("running")
    page.shot("own-running")
    assert "big: " in page.text("#said") and "gone" in page.text("#said"), page.text("#said")
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
    yard.config(config(yard).replace("max_deletes = 3", "max_deletse = 3"))
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
    yard.config(config(yard))
    page.gone("#rejection")
    page.wait_text("#verdict", "All is well")
    page.wait_text("#facts", "in force")


def a_target_over_its_limit_is_amber(yard, page):
    for name, days in [("old", 9), ("young", 1), ("younger", 1)]:
        yard.file(f"capped/{name}", days=days)
    keys = 'path = "capped"\ninclude = ["*"]\nolder_than = "7d"\nmax_files = 1\nmin_age = "3d"\n'
    yard.config(f"{config(yard)}\n[[target]]\n{keys}")
    page.open("#target/capped")
    page.wait_text("#target .policy", "more than 1")
    page.click(page.do("run", "capped"))
    page.confirm()
    page.answer()
    page.wait_text("#target .why", "over max_files")
    page.open()
    page.wait_text("#health", "1 target is over its limit: capped")
    page.wait_text("#verdict", "Something waits for you")
    yard.config(config(yard))
    page.wait_text("#verdict", "All is well")


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
    assert "max_deletes" in said and "8 files, " in said and "deleted for good" in said and "7.log" in said, said
    assert page.text("#confirm-go") == "Delete 8 files"
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


def a_run_is_stopped_before_its_next_file(yard, page):
    fill(yard)
    page.open("#target/big")
    page.click(page.do("run", "big"))
    page.confirm()
    page.answer()
    page.wait("#running")
    page.click(page.do("stop", "big"))
    page.wait_text("#notice", "big: cancelled")
    page.wait_text("#target .head", "paused")
    page.wait_text("#target .run summary", "cancelled")
    assert 0 < len(yard.files("big")) <= SLOW
    page.click(page.do("start", "big"))
    page.wait_text("#target .head", "scheduled")
