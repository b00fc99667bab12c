"""Every page of both faces in both languages: nothing serious by axe-core, a strict policy, no host but ours."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browsing import Server, Visit, accessible, browsing, fits, sign_up, strict
from playwright.sync_api import Browser, StorageState
from screenshots import CONSOLE, LANGUAGES, WINDOW

KNOWN = {"product": "mug-red", "customer": "c0"}
#: Beside the pages that are pictured.
MORE = {
    "empty search": "/search?q=zzzz+qqqq",
    "photoless": "/product/mug-brown",
    "new products": "/console/products?show=cold",
}
#: One of each kind of page; the others take long and seldom fail.
OFTEN = ["/", "/search?q=zzzz+qqqq", "/product/{product}", "/console", "/console/products", "/console/reports"]
ALL = [*WINDOW.values(), *CONSOLE.values(), *MORE.values()]
PATHS = [path if path in OFTEN else pytest.param(path, marks=pytest.mark.slow) for path in ALL]


@pytest.fixture(scope="module")
def signed(chromium: Browser, server: Server) -> Iterator[StorageState]:
    """The cookies of one who signed in, agreed to be learned from, and has something in the cart."""
    with browsing(chromium, server) as (page, _):
        sign_up(page, server)
        page.goto("/")
        page.get_by_role("button", name="Learn from my visit").first.click()
        page.goto("/product/mug-red")
        page.get_by_role("button", name="Put in the cart").click()
        page.wait_for_url("**/cart")
        yield page.context.storage_state()


@pytest.mark.parametrize("lang", ["en", pytest.param("zh", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "path", [path if path in OFTEN else pytest.param(path, marks=pytest.mark.slow) for path in ALL]
)
def test_a_page_is_accessible_strict_and_fits_a_phone(visit: Visit, signed: StorageState, path: str, lang: str) -> None:
    with visit(storage_state=signed, locale=LANGUAGES[lang]) as (page, _):
        strict(page.goto(path.format(**KNOWN)))
        for one in page.locator("details > summary").all()[:3]:
            one.click()
        accessible(page)
        page.set_viewport_size({"width": 390, "height": 844})
        fits(page)


@pytest.mark.parametrize("path", ["/search?q=mug&min=5", "/console/reports"])
def test_a_page_is_legible_in_the_dark(visit: Visit, signed: StorageState, path: str) -> None:
    with visit(storage_state=signed, color_scheme="dark") as (page, _):
        page.goto(path)
        accessible(page)


def test_who_is_not_signed_in_meets_an_accessible_door(visit: Visit) -> None:
    with visit() as (page, _):
        strict(page.goto("/console/training"))
        page.wait_for_url("**/console/login**")
        accessible(page)
        strict(page.goto("/?theme=dark"))
        accessible(page)
