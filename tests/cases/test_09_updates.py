"""Case 09: a file of prices and stock empties nothing; a full feed retires what it lacks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from shelfwise.errors import UnreadableFile
from shelfwise.schema import Product, Status
from shelfwise.serve.app import create_app
from shelfwise.shop import Shop


def _kept(product: Product) -> None:
    assert product.title == "Green tea 100 g"
    assert (product.description, product.brand) == ("Loose leaf from the hills", "Leafy")
    assert (product.product_type, product.currency) == ("Food > Tea", "EUR")


def test_a_table_of_prices_and_stock(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="EUR")
    shop.load_products(case(9) / "day1-full.csv")
    report = shop.load_products(case(9) / "day2-price-stock.csv")
    products = shop.store.products(["T1", "T2", "T9"])
    _kept(products["T1"])
    assert products["T1"].price == 5.5
    assert products["T2"].availability == "out_of_stock"
    assert "T9" not in products
    issue = next(issue for issue in report.issues if issue.kind == "unknown_product")
    assert issue.examples == ((4, "T9"),)
    assert "T1" in [hit.product for hit in shop.search("green tea").items]


def test_an_xml_of_prices_and_stock(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="EUR")
    shop.load_products(case(9) / "day1-full.csv")
    shop.load_products(case(9) / "day2-price-stock.xml")
    products = shop.store.products(["T1", "T2"])
    _kept(products["T1"])
    assert (products["T1"].price, str(products["T1"].availability)) == (5.5, "in_stock")
    assert (products["T2"].price, str(products["T2"].availability)) == (5.9, "out_of_stock")


def test_columns_that_a_file_lacks_keep_their_values(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop, feed = new_shop(currency="EUR"), tmp_path / "feed.csv"
    feed.write_text(
        "id,title,brand,price,status,colour,size\n1,Lamp,Kupfer,20,draft,red,S\n2,Pot,Kiln,5,active,blue,M\n"
    )
    shop.load_products(feed)
    feed.write_text("id,title,colour\n1,Copper lamp,green\n2,Pot,\n")
    shop.load_products(feed)
    lamp, pot = shop.store.products(["1", "2"]).values()
    assert (lamp.title, lamp.brand, lamp.price, lamp.status) == ("Copper lamp", "Kupfer", 20, Status.DRAFT)
    assert dict(lamp.attributes) == {"colour": "green", "size": "S"}
    assert dict(pot.attributes) == {"size": "M"}
    feed.write_text("id,stock\n1,0\n")
    shop.load_products(feed)
    lamp = shop.store.products(["1"])["1"]
    assert (lamp.title, str(lamp.availability), lamp.status) == ("Copper lamp", "out_of_stock", Status.DRAFT)


def test_over_http(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    shop = new_shop(currency="EUR")
    shop.load_products(case(9) / "day1-full.csv")
    body = (case(9) / "put-body.json").read_bytes()
    with TestClient(create_app(shop), base_url="http://127.0.0.1:8000", client=("127.0.0.1", 1)) as client:
        headers = {"content-type": "application/json"}
        refused = client.put("/v1/products", content=body, headers=headers)
        assert refused.status_code == 422
        message = refused.json()["error"]["message"]
        assert all(word in message for word in ("Green tea 100 g", "description", "PATCH", "empty=true"))
        assert client.patch("/v1/products", content=body, headers=headers).status_code == 200
        product = shop.store.products(["T1"])["T1"]
        _kept(product)
        assert product.price == 5.5
        change = {"id": "T1", "attributes": {"origin": "Assam"}, "brand": None}
        assert client.patch("/v1/products", json=change).status_code == 200
        product = shop.store.products(["T1"])["T1"]
        assert (product.brand, dict(product.attributes), product.price) == ("", {"origin": "Assam"}, 5.5)
        assert client.patch("/v1/products", json={"id": "T9", "price": 1}).status_code == 404
        assert client.put("/v1/products?empty=true", content=body, headers=headers).status_code == 200
        assert shop.store.products(["T1"])["T1"].title == ""


def test_a_full_feed_retires_what_it_lacks(tmp_path: Path, new_shop: Callable[..., Shop]) -> None:
    shop, feed = new_shop(), tmp_path / "feed.csv"
    rows = [f"{number},Lamp {number}\n" for number in range(10)]
    feed.write_text("id,title\n" + "".join(rows))
    shop.load_products(feed, full=True)
    feed.write_text("id,title\n" + "".join(rows[:7]))
    with pytest.raises(UnreadableFile, match=r"3 of 10 .* cut off"):
        shop.load_products(feed, full=True)
    feed.write_text("id,title\n" + "".join(rows[:8]))
    report = shop.load_products(feed, full=True)
    issue = next(issue for issue in report.issues if issue.kind == "retired")
    assert (issue.count, issue.examples) == (2, ((0, "8: Lamp 8"), (0, "9: Lamp 9")))
    assert set(shop.offers.products(map(str, range(10)))) == set(map(str, range(8)))
    assert shop.restore_products() == 2
    assert shop.restore_products() == 0
    assert len(shop.offers.products(map(str, range(10)))) == 10
    shop.load_products(feed, full=True)
    feed.write_text("id,title\n9,Lamp 9\n")
    shop.load_products(feed)  # it is back
    assert "9" in shop.offers.products(["9"])
    feed.write_text("id,price\n1,5\n")
    with pytest.raises(UnreadableFile, match="--full"):
        shop.load_products(feed, full=True)
