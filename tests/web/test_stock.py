"""The console's stock page in a real browser: the list, an edited export, a product's outlook, both languages."""

from __future__ import annotations

from browsing import Server, Visit, sign_up
from playwright.sync_api import expect

from shelfwise.plan.inventory.orders import Order
from shelfwise.serve.web.console.stock import order_csv
from shelfwise.shop import Shop


def test_a_merchants_way_through_the_stock_page(visit: Visit, server: Server) -> None:
    with visit() as (page, _):
        page.goto("/console/stock")
        page.wait_for_url("**/console/login**")
        sign_up(page, server)
        page.goto("/console/stock")
        expect(page.get_by_role("heading", name="No stock is recorded")).to_be_visible()
        with Shop(server.folder) as shop:
            ids = [product.id for product in shop.store.products(["mug-red", "mug-blue"]).values()]
            assert len(ids) == 2
            shop.planner.put_stock(
                [
                    {"product": "mug-red", "on_hand": 0, "lead_time": 7, "unit_cost": 3, "pack": 6, "supplier": "Hill"},
                    {"product": "mug-blue", "on_hand": 50_000, "lead_time": 7, "unit_cost": 3},
                ]
            )
        page.locator("header nav").get_by_role("link", name="Stock", exact=True).click()
        expect(page.get_by_role("heading", name="Order list")).to_be_visible()
        amount = page.get_by_label("Quantity: Red mug")
        assert float(amount.input_value()) % 6 == 0
        expect(page.locator("tr", has_text="Blue mug")).to_contain_text("Overstocked")
        amount.fill("42")
        with page.expect_download() as download:
            page.get_by_role("button", name="Export CSV").click()
        lines = download.value.path().read_text("utf-8").splitlines()
        assert lines[0].startswith("product,supplier,quantity")
        assert lines[1].startswith("mug-red,Hill,42,126.00,0,0,")
        assert len(lines) == 2
        page.get_by_role("link", name="Red mug").click()
        expect(page.get_by_role("heading", name="Demand and stock of Red mug")).to_be_visible()
        expect(page.locator("figure svg.chart-lines")).to_have_count(2)
        page.goto("/console/stock/accuracy")
        expect(page.get_by_role("heading", name="How the forecast did")).to_be_visible()
        page.goto("/console/stock/of/mug-red")
        page.get_by_role("link", name="中文").click()
        expect(page.get_by_role("heading", name="的需求与库存")).to_be_visible()


def test_an_export_runs_no_formula_and_takes_no_nonsense() -> None:
    order = Order(
        product="=cmd()", supplier="@x", status="order", quantity=4.0, cost=8.0, on_hand=0.0, on_order=0.0,
        lead_weeks=1, review_weeks=1, demand=1.0, safety_stock=1.0, level=4.0, cover_days=0.0, stockout=0.1,
        shortage=0.1, saved=1.0, why="because",
    )  # fmt: skip
    for text in ("nan", "-3", "many", "inf"):
        assert order_csv([order], {"=cmd()": text}).splitlines()[1] == "'=cmd(),'@x,4,8.00,0,0,because"
    assert len(order_csv([order], {"=cmd()": "0"}).splitlines()) == 1
