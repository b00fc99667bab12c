# ruff: noqa: E501 (feeds are wide)
from __future__ import annotations

import gzip
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from shelfwise import schema
from shelfwise.errors import UnreadableFile
from shelfwise.intake import QualityReport, load_products
from shelfwise.store import Store

Issues = Callable[[QualityReport], dict[str, int]]


def rows(store: Store) -> dict[str, dict[str, Any]]:
    return {
        row["id"]: row | {"attributes": json.loads(row["attributes"])}
        for row in store.products_frame().iter_rows(named=True)
    }


GOOGLE = """id,title,description,link,image link,availability,price,brand,product type,google product category,gtin,size,shipping weight
1,Mug &amp; Saucer,"<p>For <b>tea</b>.</p>",https://x.example/1,https://x.example/1.jpg,In Stock,"12,50 EUR",Acme,Home>Kitchen > Mugs,5,4006381333931,0.3L,500g
2,Bowl,,,,maybe,call us,Acme,Home > Kitchen,,,,
1,Mug and Saucer,,,,out of stock,13.00 EUR,Acme,Home > Kitchen > Mugs,,,,
 ,No id,,,,in stock,1 EUR,,,,,,
3,Bad price,,,,in stock,-1 EUR,,,,,,
"""


def test_google_merchant_csv(tmp_path: Path, store: Store, issues: Issues) -> None:
    path = tmp_path / "feed.csv"
    path.write_text(GOOGLE)
    report = load_products(path, store)
    assert issues(report) == {
        "duplicate_id": 1,
        "invalid_id": 1,
        "invalid_price": 1,
        "no_price": 1,
        "unreadable_price": 1,
        "unknown_availability": 1,
    }
    assert (report.read, report.kept) == (5, 2)
    lines = {issue.kind: issue.examples[0][0] for issue in report.issues}
    assert lines == {
        "duplicate_id": 2,
        "invalid_id": 5,
        "invalid_price": 6,
        "no_price": 3,
        "unreadable_price": 3,
        "unknown_availability": 3,
    }
    found = rows(store)
    assert found["1"]["title"] == "Mug and Saucer"
    assert (found["1"]["price"], found["1"]["currency"], found["1"]["availability"]) == (13.0, "EUR", "out_of_stock")
    assert (found["2"]["price"], found["2"]["availability"]) == (None, "unknown")
    for name in tmp_path.glob("shelfwise-*"):
        pytest.fail(f"left {name} behind")


def test_values_are_cleaned(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "feed.tsv.gz"
    one = "\n".join(GOOGLE.splitlines()[:2]).replace('"<p>For <b>tea</b>.</p>"', "<p>For <b>tea</b>.</p>")
    path.write_bytes(gzip.compress(one.replace('"12,50 EUR"', "12.50 EUR").replace(",", "\t").encode()))
    load_products(path, store)
    found = rows(store)["1"]
    assert (found["title"], found["description"]) == ("Mug & Saucer", "For tea.")
    assert found["product_type"] == "Home > Kitchen > Mugs"
    assert found["price"] == 12.5
    assert found["image_link"] == "https://x.example/1.jpg"
    assert found["attributes"] == {"google_product_category": "5", "size": "0.3 l", "shipping_weight": "500 g"}


RSS = """<?xml version="1.0"?>
<rss version="2.0" xmlns:g="http://base.google.com/ns/1.0"><channel><title>Shop</title>
<item>
  <g:id>A1</g:id><title><![CDATA[Caf&eacute; <b>mug</b>]]></title><link>https://x.example/a1</link>
  <description>&lt;p&gt;Good &amp;amp; big&lt;/p&gt;</description>
  <g:price>9.90 EUR</g:price><g:availability>in stock</g:availability>
  <g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping>
  <g:additional_image_link>https://x.example/b.jpg</g:additional_image_link>
  <g:additional_image_link>https://x.example/c.jpg</g:additional_image_link>
</item>
<item><title>no id</title></item>
</channel></rss>"""

ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0"><title>Shop</title>
<entry><id>tag:x.example,2024:1</id><g:id>B1</g:id><title>Bowl</title><link rel="alternate" href="https://x.example/b1"/>
<link rel="self" href="https://x.example/self"/><summary>Round</summary><g:price>5.00 USD</g:price></entry></feed>"""


def test_google_merchant_rss(tmp_path: Path, store: Store, issues: Issues) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(RSS)
    report = load_products(path, store)
    assert issues(report) == {"invalid_id": 1}
    assert report.issues[0].examples[0][0] == 11
    found = rows(store)["A1"]
    assert (found["title"], found["description"]) == ("Café mug", "Good & big")
    assert (found["price"], found["link"]) == (9.9, "https://x.example/a1")
    assert found["attributes"]["shipping.country"] == "DE"
    assert found["attributes"]["additional_image_link"] == "https://x.example/b.jpg | https://x.example/c.jpg"


def test_google_merchant_atom(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "feed.txt"
    path.write_text(ATOM)
    load_products(path, store)
    found = rows(store)["B1"]
    assert (found["title"], found["link"], found["description"], found["price"]) == (
        "Bowl",
        "https://x.example/b1",
        "Round",
        5.0,
    )


LAUGHS = '<!DOCTYPE lolz [<!ENTITY lol "lol">' + "".join(
    f'<!ENTITY lol{n} "{f"&lol{n - 1 or str()};" * 10}">' for n in range(1, 10)
)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{LAUGHS}]><rss><item><id>&lol9;</id></item></rss>", "entities"),
        ('<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><rss><item><id>&x;</id></item></rss>', "entities"),
        ("<rss><item><id>1</id></rss>", "not XML"),
        ("<rss><channel/></rss>", "no products"),
        ("<rss><item><id>1</id></item>", "not XML"),
        ("<rss><item><id>" + "x" * 5_000_000 + "</id></item></rss>", "over"),
    ],
)
def test_bad_xml_is_refused(text: str, told: str, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "feed.xml"
    path.write_text(text)
    with pytest.raises(UnreadableFile, match=told):
        load_products(path, store)
    assert store.counts().products == 0


SHOPIFY = """Handle,Title,Body (HTML),Vendor,Type,Tags,Published,Option1 Name,Option1 Value,Option2 Name,Option2 Value,Variant SKU,Variant Grams,Variant Inventory Tracker,Variant Inventory Qty,Variant Inventory Policy,Variant Price,Image Src,Image Position,Variant Image,Status
shirt,Blue Shirt,<p>Soft</p>,Acme,Shirts,"summer, blue",true,Size,S,Color,Blue,SH-S,200,shopify,0,deny,19.90,https://x.example/1.jpg,1,,active
shirt,,,,,,,,M,,Blue,SH-M,200,shopify,3,deny,19.90,https://x.example/2.jpg,2,https://x.example/m.jpg,
shirt,,,,,,,,,,,,,,,,,https://x.example/3.jpg,3,,
mug,Mug,,Acme,Mugs,,true,Title,Default Title,,,,,,,,7,,,,active
cap,Cap,,Acme,Caps,,true,Color,Red,,,,,,,,9,,,,active
cap,,,,,,,,Green,,,,,shopify,-1,continue,9,,,,
"""


def test_shopify_csv(tmp_path: Path, store: Store, issues: Issues) -> None:
    path = tmp_path / "products_export.csv"
    path.write_text(SHOPIFY)
    report = load_products(path, store)
    assert report.facts["format"] == "Shopify"
    assert issues(report) == {"joined_image": 1}
    found = rows(store)
    assert list(found) == ["SH-S", "SH-M", "mug", "cap-Red", "cap-Green"]
    small, medium = found["SH-S"], found["SH-M"]
    assert (small["title"], medium["title"]) == ("Blue Shirt S Blue", "Blue Shirt M Blue")
    assert (small["availability"], medium["availability"]) == ("out_of_stock", "in_stock")
    assert found["cap-Green"]["availability"] == "in_stock", "what sells on without stock is offered"
    assert small["image_link"] == "https://x.example/1.jpg"
    assert medium["image_link"] == "https://x.example/m.jpg"
    assert small["attributes"]["additional_image_link"] == "https://x.example/2.jpg | https://x.example/3.jpg"
    assert {row["item_group_id"] for row in (small, medium)} == {"shirt"}
    assert (medium["description"], medium["brand"], medium["product_type"]) == ("Soft", "Acme", "Shirts")
    assert (found["mug"]["title"], found["mug"]["item_group_id"], found["mug"]["price"]) == ("Mug", "", 7.0)
    assert medium["attributes"]["size"] == "M"


def test_json_lines_keep_unknown_keys_as_attributes(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.jsonl"
    row = {
        "sku": 12, "name": "Ｌamp", "price": 1.234, "weight": "2 LBS", "new": True, "watts": 9.5, "colours": ["red", "blue"],
        "dim": {"height": "3 CM"}, "none": None, "huge": 10**30, "category": ["Home", "Light"], "ean": ["12345"],
    }  # fmt: skip
    path.write_text(json.dumps(row) + "\n" + json.dumps({"sku": "13", "name": "late", "extra": "x"}) + "\n")
    load_products(path, store)
    found = rows(store)["12"]
    assert (found["title"], found["price"], found["product_type"], found["gtin"]) == (
        "Lamp",
        1.234,
        "Home > Light",
        "12345",
    )
    assert found["attributes"] == {
        "weight": "2 lb",
        "new": True,
        "watts": 9.5,
        "colours": "red | blue",
        "dim.height": "3 cm",
        "huge": "1" + "0" * 30,
    }
    assert rows(store)["13"]["attributes"] == {"extra": "x"}


def test_parquet(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.parquet"
    pl.DataFrame(
        {
            "product_id": [1, 2],
            "title": ["a", None],
            "price": [1.5, float("nan")],
            "rating": [4.5, float("inf")],
            "created": pl.Series(["2024-05-01", None]).str.to_datetime("%Y-%m-%d"),
        }
    ).write_parquet(path)
    report = load_products(path, store)
    assert (report.kept, [issue.kind for issue in report.issues]) == (1, ["invalid_price"])
    found = rows(store)["1"]
    assert (found["price"], found["attributes"]) == (1.5, {"rating": 4.5})
    assert schema.from_micros(found["created"]).date().isoformat() == "2024-05-01"


def png_header(width: int, height: int) -> bytes:
    """A PNG that says it is as large as you like, and holds nothing."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    body = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", body) + chunk(b"IDAT", zlib.compress(bytes(1_000))) + chunk(b"IEND", b"")
    )


def test_photos_come_from_their_folder_and_broken_ones_are_told(tmp_path: Path, store: Store, issues: Issues) -> None:
    feed, outside = tmp_path / "feed", tmp_path / "outside"
    (feed / "images").mkdir(parents=True)
    outside.mkdir()
    Image.new("RGB", (80, 60), "red").save(feed / "images" / "good.jpg")
    Image.new("RGB", (80, 60), "red").save(outside / "secret.png")
    whole = (feed / "images" / "good.jpg").read_bytes()
    (feed / "images" / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (feed / "images" / "text.jpg").write_text("not an image")
    (feed / "images" / "empty.png").write_bytes(b"")
    (feed / "images" / "bomb.png").write_bytes(png_header(100_000, 100_000))
    (feed / "images" / "large.png").write_bytes(png_header(9_000, 9_000))
    (feed / "images" / "link.png").symlink_to(outside / "secret.png")
    links = {
        "good": "images/good.jpg",
        "cut": "images/cut.jpg",
        "text": "images/text.jpg",
        "empty": "images/empty.png",
        "bomb": "images/bomb.png",
        "large": "images/large.png",
        "missing": "images/none.jpg",
        "folder": "images",
        "up": "../outside/secret.png",
        "absolute": str(outside / "secret.png"),
        "symlink": "images/link.png",
        "file": f"file://{outside}/secret.png",
        "long": "x" * 3_000,
        "web": "https://x.example/a.jpg",
    }
    path = feed / "feed.csv"
    path.write_text("id,title,image_link\n" + "".join(f"{name},{name},{link}\n" for name, link in links.items()))
    report = load_products(path, store)
    assert report.kept == len(links)
    assert issues(report) == {"broken_image": len(links) - 2}
    found = rows(store)
    assert found["good"]["image_link"] == str((feed / "images" / "good.jpg").resolve())
    assert found["web"]["image_link"] == "https://x.example/a.jpg"
    assert {name for name, row in found.items() if row["image_link"]} == {"good", "web"}

    elsewhere = load_products(path, store, images=outside)
    # both ways to the other folder are inside now, and images/ is not
    assert issues(elsewhere)["broken_image"] == len(links) - 3
    assert rows(store)["absolute"]["image_link"] == str((outside / "secret.png").resolve())


def test_a_mapping_names_columns(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Artikel;Bezeichnung;Cent\n7;Tasse;1250\n")
    load_products(
        path, store, mapping={"id": "Artikel", "title": "Bezeichnung", "price": "Cent|/100", "currency": "=EUR"}
    )
    found = rows(store)["7"]
    assert (found["title"], found["price"], found["currency"]) == ("Tasse", 12.5, "EUR")
    with pytest.raises(UnreadableFile, match="product's id"):
        load_products(path, store)
    with pytest.raises(UnreadableFile, match="did you mean 'Artikel'"):
        load_products(path, store, mapping={"id": "Artikl"})


def test_long_texts_are_cut_and_control_characters_go(tmp_path: Path, store: Store, issues: Issues) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps({"id": "1", "title": "a\x00b" * 500, "description": "x" * 30_000}) + "\n")
    assert issues(load_products(path, store)) == {"long_title": 1, "long_description": 1}
    found = rows(store)["1"]
    assert (len(found["title"]), len(found["description"])) == (1_000, 20_000)
    assert "\x00" not in found["title"]


def test_many_chunks(tmp_path: Path, store: Store, issues: Issues, monkeypatch: pytest.MonkeyPatch) -> None:
    from shelfwise.intake import products

    monkeypatch.setattr(products, "CHUNK", 7)
    path = tmp_path / "a.csv"
    path.write_text("id,title\n" + "".join(f"{n % 40},t{n}\n" for n in range(100)))
    report = load_products(path, store)
    assert issues(report) == {"duplicate_id": 60}
    assert {int(key): row["title"] for key, row in rows(store).items()} == {
        n % 40: f"t{n}" for n in sorted(range(100), key=lambda n: n)
    }


@pytest.mark.data
def test_luma(data: Path, store: Store, issues: Issues) -> None:
    report = load_products(data / "luma" / "products.csv", store)
    assert (report.read, report.kept, issues(report)) == (447, 447, {})
    found = rows(store)
    assert all(Path(row["image_link"]).is_file() for row in found.values())
    assert found["MH01-Black"]["price"] == 52.0
    assert found["MH01-Black"]["attributes"]["color"] == "Black"


@pytest.mark.slow
@pytest.mark.data
def test_chorus(data: Path, store: Store, issues: Issues) -> None:
    mapping = {"brand": "supplier", "price": "price|/100", "image_link": "img_500x500", "mpn": "name"}
    report = load_products(data / "chorus_products.jsonl.gz", store, mapping=mapping)
    assert (report.read, report.kept, issues(report)) == (19_406, 19_406, {})
    found = store.product("3920564")
    assert found is not None
    assert (found.brand, found.price, found.mpn, found.gtin) == ("Xerox", 49.95, "006R90321", "0095205603217")
    assert found.attributes["black_toner_page_yield"] == 23_000.0


def test_icecat_json_lines(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "icecat.jsonl"
    path.write_text(
        json.dumps(
            {
                "id": "1",
                "name": "dv7-1211ea",
                "title": "HP Pavilion dv7",
                "ean": ["0884420588030"],
                "short_description": "A notebook",
                "img_high": "http://x.example/high.jpg",
                "img_500x500": "http://x.example/500.jpg",
                "date_released": "2008-12-19T00:00:00Z",
                "supplier": "HP",
                "price": 10995,
                "attr_t_product_colour": "Silver",
                "attr_n_display_diagonal": 17.0,
                "attr_b_touchscreen": False,
                "attr_t_type": "Notebook",
            }
        )
    )
    report = load_products(path, store)
    assert report.facts["format"] == "icecat"
    row = rows(store)["1"]
    told = {name: row[name] for name in ("title", "brand", "price", "gtin", "mpn", "description", "image_link")}
    assert told == {
        "title": "HP Pavilion dv7",
        "brand": "HP",
        "price": 109.95,
        "gtin": "0884420588030",
        "mpn": "dv7-1211ea",
        "description": "A notebook",
        "image_link": "http://x.example/500.jpg",
    }
    assert row["attributes"] == {
        "product_colour": "Silver",
        "display_diagonal": 17.0,
        "touchscreen": False,
        "type_attribute": "Notebook",
    }
    assert row["created"] == 1229644800_000_000
