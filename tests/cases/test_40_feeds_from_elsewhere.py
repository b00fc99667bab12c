# ruff: noqa: E501 (records are wide)
"""Feeds that users of search engines and shop systems reported: packed, exported by databases, saved with remarks."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from events_of import counts
from products_of import load

from shelfwise.errors import UnreadableFile
from shelfwise.schema import Product, now
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]
CSV = "id,title,price\n1,Cup,3\n"


def packed(**files: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # without the time, which would be in a test's name
    return made.getvalue()


def test_a_zip_archive_of_one_file_is_that_file(new_shop: NewShop, tmp_path: Path) -> None:
    archive = packed(**{"feed/feed.csv": CSV, "__MACOSX/feed/._feed.csv": "x", ".DS_Store": "x"})
    assert load(new_shop(), tmp_path, archive, "feed.zip")[1]["1"].title == "Cup"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (packed(**{"xl/workbook.xml": "<x/>"}), "Excel workbook; save the sheet as CSV"),
        (packed(**{"mimetype": "x", "content.xml": "<x/>"}), "OpenDocument"),
        (packed(a="1", b="2"), r"2 files \(a, b\); unpack"),
        (packed(a=CSV)[:60], "cut off or damaged"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), "old Excel"),
        (b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n", "is a PDF"),
        (b"  <!DOCTYPE html><html><body>Log in<br></body></html>", "web page"),
        (b'{"errors": "Invalid API key or access token"}', "Invalid API key"),
    ],
)
def test_what_is_no_table_is_named_with_what_to_do(
    new_shop: NewShop, tmp_path: Path, content: bytes, said: str
) -> None:
    with pytest.raises(UnreadableFile, match=said):
        load(new_shop(), tmp_path, content)


@pytest.mark.parametrize("before", ["# Export\n# of 2026-11-29, all\n\n", "Our products,,\n,,\n", "All products\n"])
def test_remarks_before_the_headings(new_shop: NewShop, tmp_path: Path, before: str) -> None:
    report, products = load(new_shop(), tmp_path, before + CSV)
    assert (report.read, products["1"].title, products["1"].price) == (1, "Cup", 3)
    with pytest.raises(UnreadableFile, match=f"line {before.count(chr(10)) + 3}, "):
        load(new_shop(), tmp_path, before + CSV + "2,Pot\n")


HIT = {"name": "Cup", "price": 3.5}
DUMPS: dict[str, list[Any]] = {
    "Algolia": [[{"objectID": "77", **HIT}]],
    "Elasticsearch, an answer": [
        {"took": 3, "timed_out": False, "hits": {"total": {"value": 1}, "max_score": 1, "hits": [{"_id": "77", "_source": HIT}]}}
    ],
    "Elasticsearch, a dump": [{"_index": "p", "_id": "77", "_score": 1, "_source": HIT}],
    "MongoDB": [{"_id": {"$oid": "77"}, "name": "Cup", "price": {"$numberDecimal": "3.5"}, "at": {"$date": "2024-01-01T00:00:00Z"}}],
}  # fmt: skip


@pytest.mark.parametrize("name", DUMPS)
def test_dumps_of_search_engines_and_databases(new_shop: NewShop, tmp_path: Path, name: str) -> None:
    text = "\n".join(json.dumps(line) for line in DUMPS[name])
    _, products = load(new_shop(), tmp_path, text, "f.json")
    assert [(one.id, one.title, one.price) for one in products.values()] == [("77", "Cup", 3.5)]


def test_a_product_is_gone_with_its_last_day(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    report, products = load(
        shop, tmp_path, "id,title,expiration_date\n1,Old,2020-01-01T00:00+00:00\n2,New,2099-01-01\n3,Always,\n"
    )
    assert {name: one.offered(now()) is not None for name, one in products.items()} == {
        "1": False,
        "2": True,
        "3": True,
    }
    assert report.hidden == 1
    _, products = load(shop, tmp_path, "id,title,expiration_date\n1,Old,2099-01-01\n")
    assert products["1"].offered(now()) is not None


def test_hidden_by_the_columns_of_other_systems(new_shop: NewShop, tmp_path: Path) -> None:
    for text in (
        "Product ID,Product Name,Product Visible?\n1,Cup,N\n",  # BigCommerce
        "Product ID [Non Editable],Title,Visible\n1,Cup,No\n",  # Squarespace
        "item_id,title,is_hidden\n1,Cup,true\n",  # Gorse
    ):
        report, products = load(new_shop(), tmp_path, text)
        assert (products["1"].status, report.hidden) == ("hidden", 1), text


def test_words_for_nothing_are_nothing(new_shop: NewShop, tmp_path: Path) -> None:
    text = (
        "id,title,brand,gtin,colour,pattern\n1,Cup,nan,Does not apply,NaN,None\n2,NULL,N/A,,#N/A,dots\nnan,Ghost,x,,,\n"
    )
    report, products = load(new_shop(), tmp_path, text)
    assert {name: (one.title, one.brand, one.gtin, dict(one.attributes)) for name, one in products.items()} == {
        "1": ("Cup", "", "", {"pattern": "None"}),
        "2": ("", "", "", {"pattern": "dots"}),
        "nan": ("Ghost", "x", "", {}),  # an id is what it is
    }
    assert counts(report) == {"empty_word": 6, "no_title": 1}


def test_texts_that_were_encoded_twice(new_shop: NewShop, tmp_path: Path) -> None:
    texts = ["Café crème", "Müller’s “big” pan – 5 €", "Привет", "中文杯子", "voilà» ok", "naïve É »"]
    rows = "".join(
        f"{n},{text.encode().decode('latin-1') if n == 2 else twice(text) if n < 4 else text}\n"
        for n, text in enumerate(texts)
    )
    report, products = load(new_shop(), tmp_path, "id,title\n" + rows)
    assert [one.title for one in products.values()] == texts
    assert counts(report) == {"encoded_twice": 4}


def twice(text: str) -> str:
    """As a program that takes UTF-8 for Windows-1252 reads it."""
    return "".join(
        bytes([byte]).decode("cp1252" if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D) else "latin-1")
        for byte in text.encode()
    )


def test_prices_in_several_currencies_are_said(new_shop: NewShop, tmp_path: Path) -> None:
    report, products = load(new_shop(), tmp_path, "id,title,price\n1,Cup,3 EUR\n2,Pot,4 USD\n3,Pan,Rs. 499/-\n")
    issue = next(one for one in report.issues if one.kind == "several_currencies")
    assert {text for _, text in issue.examples} == {"EUR: 1 prices", "USD: 1 prices", "INR: 1 prices"}
    assert products["3"].price == 499


def test_one_cell_with_several_photos(new_shop: NewShop, tmp_path: Path) -> None:
    links = {"1": "//cdn.x/1.jpg", "2": '"https://x/1,2.jpg, https://x/2.jpg"', "3": "https://x/a.jpg https://x/b.jpg"}
    _, products = load(
        new_shop(), tmp_path, "id,title,image_link\n" + "".join(f"{n},T,{link}\n" for n, link in links.items())
    )
    assert [one.image_link for one in products.values()] == [
        "https://cdn.x/1.jpg",
        "https://x/1,2.jpg",
        "https://x/a.jpg",
    ]


def shown(products: dict[str, Product]) -> list[tuple[Any, ...]]:
    return [
        (one.id, one.title, one.price, one.sale_price, one.currency, str(one.availability), str(one.status))
        for one in products.values()
    ]


SHOPWARE = {"data": [
    {"id": "a", "type": "product", "attributes": {"name": "Cup", "active": True, "availableStock": 3, "isCloseout": True, "price": [{"gross": 10, "net": 8, "listPrice": {"gross": 12}}]}},
    {"id": "b", "type": "product", "attributes": {"name": "Gone", "active": True, "availableStock": 0, "isCloseout": True, "price": [{"gross": 10}]}},
    {"id": "c", "type": "product", "attributes": {"name": "Later", "active": True, "availableStock": 0, "isCloseout": False, "price": [{"gross": 10}]}},
]}  # fmt: skip
OFFERED = {
    "sku": "A1",
    "name": "Cup",
    "brand": {"@type": "Brand", "name": "Kiln"},
    "offers": {
        "@type": "Offer",
        "price": "3.50",
        "priceCurrency": "EUR",
        "availability": "https://schema.org/OutOfStock",
    },
}
PRESTA = [
    {"id": 2, "name": [{"id": "1", "value": "Cup"}, {"id": "2", "value": "Tasse"}], "active": "0", "price": "8.4"}
]
XML = """<prestashop><products><product><id>2</id><name><language id="1">Cup</language><language id="2">Tasse</language></name>
<active>1</active><price currency="EUR">8.4</price></product></products></prestashop>"""
META = '"# Required | A content ID, e.g. a SKU.","# Required | A title.","# Optional"\nid,title,visibility\n1,Cup,published\n2,Pot,hidden\n'
OTHERS: dict[str, tuple[str, list[tuple[Any, ...]]]] = {
    "Shopware 6": (json.dumps(SHOPWARE), [("a", "Cup", 12, 10, "USD", "in_stock", "active"), ("b", "Gone", 10, None, "USD", "out_of_stock", "active"), ("c", "Later", 10, None, "USD", "backorder", "active")]),
    "schema.org": (json.dumps([OFFERED]), [("A1", "Cup", 3.5, None, "EUR", "out_of_stock", "active")]),
    "PrestaShop, languages": (json.dumps(PRESTA), [("2", "Cup", 8.4, None, "USD", "in_stock", "hidden")]),
    "PrestaShop, XML": (XML, [("2", "Cup", 8.4, None, "EUR", "in_stock", "active")]),
    "Meta": (META, [("1", "Cup", None, None, "USD", "in_stock", "active"), ("2", "Pot", None, None, "USD", "in_stock", "hidden")]),
    "TikTok": ("sku_id,title,price\n1,Cup,3 EUR\n", [("1", "Cup", 3, None, "EUR", "in_stock", "active")]),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_feeds_of_other_systems(new_shop: NewShop, tmp_path: Path, name: str) -> None:
    text, expected = OTHERS[name]
    assert shown(load(new_shop(), tmp_path, text, "feed")[1]) == expected
