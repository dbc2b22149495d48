"""A daemon with a thousand targets."""

from page import PHONE, Page
from yard import NOBODY, Yard, far_off, until

COUNT = 1000


def begin(room):
    yard = Yard(room, "thousand", NOBODY)
    targets = "".join(f'\n[[target]]\npath = "tenants/{number:04}"\nname = "tenant-{number:04}"\n' for number in range(COUNT))
    defaults = f'[defaults]\nschedule = "0 {far_off()} * * *"\ninclude = ["*"]\n'
    yard.config(f'[admin]\nlisten = "127.0.0.1:0"\n\n{defaults}{targets}')
    yard.start()
    return yard, Page(room, yard)


def a_page_of_them_is_shown(yard, page):
    page.open()
    page.wait_text("#count", "1–20 of 1,000 targets")
    assert len(page.all("#targets tbody tr")) == 20
    page.click('[data-do="turn"][data-by="1"]')
    page.wait_text("#count", "21–40 of 1,000 targets")
    assert page.text("#targets .name a") == "tenant-0020"
    page.accessible("a thousand targets")


def the_filter_finds_one(yard, page):
    page.wait("#filter").send_keys("tenant-07")
    page.wait_text("#count", "1–20 of 100 targets")
    page.wait("#filter").send_keys("77")
    page.wait_text("#count", "1–1 of 1 target")
    assert page.texts("#targets .name a") == ["tenant-0777"]
    page.wait("#filter").send_keys("x")
    page.wait_text("#targets", "No target has this in its name or path")


def what_needs_a_look_comes_first(yard, page):
    page.open("#target/tenant-0500")
    page.click(page.do("pause", "tenant-0500"))
    page.wait_text("#target .head", "paused")
    page.open()
    until("it is the first", lambda: page.texts("#targets .name a")[:1] == ["tenant-0500"])


def it_fits_on_a_phone(yard, page):
    page.look(PHONE)
    page.fits()
    page.look()


def it_complains_of_nothing(yard, page):
    complaints, _ = page.collect()
    assert complaints == [], complaints


CHECKS = [a_page_of_them_is_shown, the_filter_finds_one, what_needs_a_look_comes_first, it_fits_on_a_phone, it_complains_of_nothing]
