"""The browser can be driven here, and the drawn shop is what the other tests take it for."""

from __future__ import annotations

from pathlib import Path

from browsing import Server
from playwright.sync_api import Browser

from shelfwise.shop import Shop


def test_the_drawn_shop_knows_what_its_tests_ask(drawn_shop: Path) -> None:
    with Shop(drawn_shop) as shop:
        assert shop.counts().products == 40
        found = shop.search("blue chiar")
        assert found.corrected == "blue chair"
        assert found.items[0].product == "chair-blue"
        looked = shop.search_image((drawn_shop / "photos" / "lamp-red.jpg").read_bytes())
        assert looked.items[0].product == "lamp-red"
        assert all(hit.product.startswith("lamp-") for hit in looked.items[:4])
        first = shop.recommend(customer="c0", k=4).items
        assert {item.product.split("-")[0] for item in first} <= {"mug", "teapot"}


def test_the_server_answers_the_browser(chromium: Browser, server: Server) -> None:
    page = chromium.new_page()
    answer = page.goto(f"{server.url}/v1/health")
    assert answer is not None
    assert answer.json()["products"] == 40
    page.close()
