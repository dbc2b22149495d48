"""Another user looks at root's daemon: what everybody may see is there, and the rest asks for the token."""

from page import PHONE, Keys, Page
from yard import Yard, far_off, until

TOKEN = "correct-horse-battery-staple"

CONFIG = """
[admin]
listen = "127.0.0.1:0"
token_file = "token"

[[target]]
path = "spool"
schedule = "0 {hour} * * *"
include = ["**"]
older_than = "7d"
"""


def begin(room):
    yard = Yard(room, "roots", 0)
    yard.file("spool/old", days=9, size=4096)
    token = yard.path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    yard.config(CONFIG.format(hour=far_off()))
    yard.start()
    return yard, Page(room, yard)


def what_is_open_to_everybody_is_shown(yard, page):
    page.open()
    page.wait_text("#verdict", "All is well")
    page.wait_text("#targets", "spool")
    page.wait_text("#news", "every 15 s")
    assert not page.seen("#token"), "nobody has asked for anything yet"
    page.accessible("without the token")


def an_order_asks_for_the_token(yard, page):
    page.open("#target/spool")
    page.click(page.do("pause", "spool"))
    page.wait("#token")
    page.wait_text("#token", "kept for this tab only")
    assert page.focused() == "token-value", page.focused()
    page.accessible("token")
    page.look(PHONE, dark=True)
    page.fits()
    page.accessible("token on a phone, dark")
    page.shot("token-phone")
    page.look()


def to_cancel_is_to_do_nothing(yard, page):
    page.press(Keys.ESCAPE)
    page.gone("#token")
    assert yard.target("spool")["state"] == "scheduled"
    assert page.focused() == "BUTTON Pause", page.focused()


def a_wrong_token_is_forgotten_and_asked_for_again(yard, page):
    page.click(page.do("pause", "spool"))
    page.wait("#token")
    page.press("not-the-token-at-all", Keys.ENTER)
    page.wait_text("#token", "the token is wrong")
    assert page.run("return [sessionStorage.length, document.getElementById('token-value').value]") == [0, ""]
    assert yard.target("spool")["state"] == "scheduled"


def with_the_right_one_the_order_is_carried_out(yard, page):
    page.press(TOKEN, Keys.ENTER)
    page.gone("#token")
    page.wait_text("#target .head", "paused")
    assert yard.target("spool")["state"] == "paused"
    page.wait_text("#news", "live")


def it_is_asked_for_once(yard, page):
    page.click(page.do("start", "spool"))
    page.wait_text("#target .head", "scheduled")
    page.click(page.do("preview", "spool"))
    page.wait_text("#previewed", "1 file, ")
    page.open("#target/spool")
    page.click(page.do("run", "spool"))
    said = page.confirm()
    assert "1 file, " in said and "old" in said, said
    page.answer()
    page.wait_text("#notice", "spool: done, 1 file deleted")
    assert yard.files("spool") == []


def it_is_kept_for_the_tab_only(yard, page):
    kept = page.run("return [localStorage.length, document.cookie, Object.values(sessionStorage), location.href]")
    assert kept[:3] == [0, "", [TOKEN]] and TOKEN not in kept[3], kept
    first = page.driver.current_window_handle
    page.driver.switch_to.new_window("tab")
    page.open()
    page.wait_text("#news", "every 15 s")
    assert page.run("return sessionStorage.length") == 0
    page.driver.close()
    page.driver.switch_to.window(first)


def it_can_be_forgotten(yard, page):
    page.open()
    page.wait_text("#news", "live")
    page.click(page.do("forget"))
    page.wait_text("#news", "every 15 s")
    assert page.run("return sessionStorage.length") == 0


def a_run_is_seen_without_it_a_little_later(yard, page):
    yard.file("spool/older", days=20)
    page.open("#target/spool")
    page.wait_text("#news", "every 15 s")
    before = yard.target("spool")["last_run"]["run"]
    page.run("fetch('/cleanup/manual', { method: 'POST', headers: { Authorization: `Bearer ${arguments[0]}` } })", TOKEN)
    until("it has run", lambda: yard.target("spool")["last_run"]["run"] != before)
    until("both runs are there", lambda: len(page.all("#target .run")) == 2)
    page.click("#target .run summary")
    page.wait("#token")
    page.press(Keys.ESCAPE)
    page.wait_text("#target .report", "Candidates")


def it_asks_only_its_own_daemon_and_the_browser_tells_of_refusals_only(yard, page):
    complaints, fetched = page.collect()
    # A browser notes each 401 and 403 by itself; nothing else may be there.
    other = [text for text in complaints if "status of 401" not in text and "status of 403" not in text]
    assert complaints and other == [], other
    assert page.foreign() == [], page.foreign()
    assert not any(TOKEN in url for url, _ in fetched)
    assert TOKEN not in yard.log()


CHECKS = [
    what_is_open_to_everybody_is_shown,
    an_order_asks_for_the_token,
    to_cancel_is_to_do_nothing,
    a_wrong_token_is_forgotten_and_asked_for_again,
    with_the_right_one_the_order_is_carried_out,
    it_is_asked_for_once,
    it_is_kept_for_the_tab_only,
    it_can_be_forgotten,
    a_run_is_seen_without_it_a_little_later,
    it_asks_only_its_own_daemon_and_the_browser_tells_of_refusals_only,
]
