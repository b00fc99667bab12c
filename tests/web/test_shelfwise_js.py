"""The script in a real browser: silent without consent, and what it tells is known to the next page."""

from __future__ import annotations

from browsing import Visit
from playwright.sync_api import expect


def test_nothing_is_told_before_consent_and_everything_after(visit: Visit) -> None:
    with visit() as (page, _):
        told: list[str] = []
        page.on("request", lambda request: told.append(request.url) if "/collect" in request.url else None)
        page.goto("/")
        page.goto("/product/mug-red")
        page.goto("/search?q=red+mug")
        assert told == []
        assert page.evaluate("localStorage.length") == 0
        page.goto("/")
        page.get_by_role("button", name="Learn from my visit").first.click()
        page.goto("/search?q=red+mug")
        page.get_by_role("link", name="Red mug").first.click()
        page.wait_for_url("**/product/mug-red")
        # A beacon is on its way while the next page is asked for already: ask again until all have come.
        for _ in range(60):
            page.goto("/")
            if "goes by: 3" in page.get_by_role("contentinfo").inner_text():
                break
            page.wait_for_timeout(250)
        expect(page.get_by_role("contentinfo")).to_contain_text("goes by: 3")
        expect(page.get_by_role("heading", name="For you", exact=True)).to_be_visible()
        assert told

        # A shop's own button; the page of ours has a form instead.
        page.evaluate(
            """() => {
                const button = document.createElement("button");
                button.dataset.shelfwiseCart = "lamp-red";
                button.textContent = "Take it";
                document.querySelector("main").append(button);
            }"""
        )
        with page.expect_response("**/collect"):
            page.get_by_role("button", name="Take it").click()
        page.goto("/cart")
        expect(page.get_by_role("main").get_by_role("link", name="Red lamp").first).to_be_visible()
        page.goto("/")
        why = page.locator("details.why").first
        why.locator("summary").click()
        expect(why.locator(".behind")).not_to_be_empty()
