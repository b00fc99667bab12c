"""A merchant's way through the console, in a real browser: sign in, import, train, compare, use, pin, roll back."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from browsing import NAME, PASSWORD, Server, Visit, sign_up
from playwright.sync_api import Page, expect

from shelfwise.serve.imports import UPLOADS
from shelfwise.serve.web.console.guard import COOKIE
from shelfwise.shop import Shop
from shelfwise.trust.accounts import Accounts

FEED = """id,title,description,price,availability,product_type,image_link
kettle-red,Red kettle,A red kettle by Clayhouse.,39.00 EUR,in stock,Kitchen > Kettles,
kettle-blue,Blue kettle,A blue kettle by Clayhouse.,41.00 EUR,in stock,Kitchen > Kettles,
mug-red,Red mug,A red mug by Clayhouse.,9.90 EUR,in stock,Kitchen > Mugs,photos/mug-red.jpg
,A mug without an id,,5.00 EUR,in stock,Kitchen > Mugs,
kettle-odd,Odd kettle,A kettle at no price one could pay.,cheap,in stock,Kitchen > Kettles,
"""


def menu(page: Page, name: str) -> None:
    page.locator("header nav").get_by_role("link", name=name, exact=True).click()


def used(page: Page) -> str:
    """The version of the bundle that serves, as the list of bundles says."""
    return page.locator("tr", has_text="in use").locator("code").inner_text()


def test_sign_in_import_train_compare_use_pin_and_roll_back(visit: Visit, server: Server, tmp_path: Path) -> None:
    with visit() as (page, watch):
        _sign_in(page, server, watch.allowed)
        _import(page, tmp_path)
        old, new = _train(page)
        _use(page, old, new)
        _pin(page)
        page.goto("/console/training")
        page.locator("summary", has_text="Roll back").click()
        page.get_by_role("button", name="Roll back").click()
        expect(page.get_by_role("status")).to_contain_text(f"Undo: back to {old}")
        assert used(page) == new


def _sign_in(page: Page, server: Server, allowed: set[int]) -> None:
    page.goto("/console")
    page.wait_for_url("**/console/login**")
    sign_up(page, server)
    page.get_by_role("button", name=f"Sign out {NAME}").click()
    page.wait_for_url("**/console/login**")
    allowed |= {401, 403, 404, 410, 422}
    page.goto(server.link)
    expect(page.get_by_label("Password")).to_have_count(0)  # the link was good once
    page.goto("/console/training")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill("not the passphrase")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/console/training")
    allowed.clear()


def _import(page: Page, folder: Path) -> None:
    feed = folder / "feed.csv"
    feed.write_text(FEED)
    menu(page, "Import data")
    page.get_by_label("Drop a file here, or choose one").set_input_files(feed)
    page.get_by_role("button", name="Read and check").click()
    expect(page.get_by_role("heading", name="This is a product feed.")).to_be_visible(timeout=60_000)
    report = page.locator("table.table-report")
    expect(report).to_contain_text("left out")
    expect(report).to_contain_text("line 5")
    expect(report).to_contain_text("cheap")
    expect(page.get_by_role("main")).to_contain_text("replaces 1")
    page.get_by_role("button", name=re.compile(r"Load \d products")).click()
    expect(page.get_by_role("status")).to_contain_text("products are in the shop.", timeout=60_000)
    menu(page, "Products")
    page.get_by_label("Search products").fill("kettle")
    page.get_by_role("button", name="Find").click()
    expect(page.get_by_role("link", name="Red kettle")).to_be_visible()


def _train(page: Page) -> tuple[str, str]:
    """Train and compare: the old bundle and the new one."""
    menu(page, "Training")
    old = used(page)
    page.get_by_role("button", name="Train", exact=True).click()
    page.wait_for_url("**/console/training/jobs/**")
    # The page comes to its end by itself.
    expect(page.get_by_role("link", name="Read its report")).to_be_visible(timeout=120_000)
    new = re.findall(r"\d{8}-\d{6}-[0-9a-f]{4}", page.get_by_role("status").inner_text())[0]
    expect(page.locator("figure svg").first).to_be_visible()
    menu(page, "Training")
    assert used(page) == new
    assert new != old
    page.get_by_role("button", name="Compare the ticked").click()
    page.wait_for_url("**/console/training/compare?**")
    for version in (old, new):
        expect(page.locator("code", has_text=version)).to_be_visible()
    grid = page.get_by_role("region", name="Metric by metric", exact=True)
    expect(grid).to_contain_text("NDCG@10")
    expect(grid).to_contain_text(re.compile(r"0\.\d{3} – 0\.\d{3}"))  # an interval
    expect(page.get_by_role("region", name="Beside the baselines", exact=True)).to_contain_text("Popularity")
    return old, new


def _use(page: Page, old: str, new: str) -> None:
    menu(page, "Training")
    line = page.locator("tr", has_text=old)
    line.locator("summary").click()
    line.get_by_role("button", name="Use this bundle").click()
    expect(page.get_by_role("status")).to_contain_text(f"Undo: back to {new}")
    assert used(page) == old


def _pin(page: Page) -> None:
    """A rule puts what was imported before all mugs, and taking it back puts things as they were."""
    page.goto("/search?q=mug")
    first = page.locator(".offer-title").first
    expect(first).to_contain_text("mug")
    page.goto("/console")
    menu(page, "Rules")
    page.get_by_label("For the query").fill("mug")
    page.get_by_label("Products").fill("kettle-red")
    page.get_by_label("Place").fill("1")
    page.get_by_role("button", name="Add a rule").click()
    expect(page.get_by_role("status")).to_have_text("The rule holds now.")
    page.goto("/search?q=mug")
    expect(first).to_have_text("Red kettle")
    page.goto("/console/rules")
    page.get_by_role("button", name=re.compile("^Undo")).first.click()
    expect(page.get_by_role("status")).to_have_text("Taken back.")
    page.goto("/search?q=mug")
    expect(first).to_contain_text("mug")


@pytest.mark.slow
def test_a_file_is_dropped_and_an_upload_is_stopped(visit: Visit, server: Server) -> None:
    with Shop(server.folder) as shop:
        accounts = Accounts(shop.store.accounts)
        accounts.create("dora", PASSWORD)
        secret = accounts.sign_in("dora", PASSWORD, "here")
    with visit() as (page, _):
        page.context.add_cookies([{"name": COOKIE, "value": secret, "url": server.url}])
        page.goto("/console/data")
        # What has begun to be sent, and is not taken yet, can be stopped.
        page.route("**/console/data/import", lambda _: None)
        dropped(page, "slow.csv", FEED)
        status = page.get_by_role("status")
        expect(status.get_by_role("progressbar")).to_be_visible()
        status.get_by_role("button", name="Stop sending").click()
        expect(page.get_by_role("alert")).to_have_text("Sending was stopped; nothing was kept.")
        expect(page.get_by_role("button", name="Read and check")).to_be_enabled()
        page.unroute("**/console/data/import")

        dropped(page, "feed.csv", FEED)
        page.wait_for_url("**/console/data/import/*")
        expect(page.get_by_role("heading", name="This is a product feed.")).to_be_visible(timeout=60_000)
        page.locator("summary", has_text="Discard").click()
        expect(page.get_by_text("The uploaded copy is deleted for good")).to_be_visible()
        page.get_by_role("button", name="Delete the copy").click()
        page.wait_for_url("**/console/data")
        assert not list((server.folder / UPLOADS).iterdir())
        _import_json(page, server.folder)


def _import_json(page: Page, folder: Path) -> None:
    """A whole answer of an API, and JSON Lines with lists: as files on the command line, through the browser."""
    ware = {"id": 7, "title": "Flax shirt", "handle": "flax", "status": "active"}
    variants = [{"id": 71, "sku": "F-S", "price": "49.00", "option1": "S"}, {"id": 72, "sku": "F-M", "price": "49.00"}]
    dropped(page, "products.json", json.dumps({"products": [{**ware, "variants": variants}]}, indent=1))
    page.wait_for_url("**/console/data/import/*")
    expect(page.get_by_role("heading", name="This is a product feed.")).to_be_visible(timeout=60_000)
    expect(page.get_by_role("main")).to_contain_text("Shopify (API)")
    page.get_by_role("button", name="Load 2 products").click()
    expect(page.get_by_role("status")).to_contain_text("products are in the shop.", timeout=60_000)
    lines = [{"sku": "F-S", "quantity": 2}, {"sku": "F-M", "quantity": 1}]
    order = {"id": 9, "created_at": "2026-03-01T10:00:00Z", "customer": {"id": "zoe"}, "line_items": lines}
    page.goto("/console/data")
    dropped(page, "orders.jsonl", json.dumps(order) + "\n" + json.dumps({**order, "id": 10}) + "\n")
    page.wait_for_url("**/console/data/import/*")
    expect(page.get_by_role("heading", name="This is an event log.")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Load 4 events").click()
    expect(page.get_by_role("status")).to_contain_text("4 events are recorded.", timeout=60_000)
    with Shop(folder) as shop:
        assert {"F-S", "F-M"} <= shop.store.products(["F-S", "F-M"]).keys()
        bought = [(event.product, event.quantity) for event in shop.store.last_events(customer="zoe", n=9)]
        assert sorted(bought) == [("F-M", 1), ("F-M", 1), ("F-S", 2), ("F-S", 2)]


def dropped(page: Page, name: str, text: str) -> None:
    """A file falls on the form."""
    page.locator("form.drop").evaluate(
        """(form, [name, text]) => {
            const dataTransfer = new DataTransfer();
            dataTransfer.items.add(new File([text], name, { type: "text/csv" }));
            for (const kind of ["dragenter", "dragover", "drop"])
                form.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        }""",
        [name, text],
    )
