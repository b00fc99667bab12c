# ruff: noqa: E501 (rows are wide)
"""Columns whose words tell what they mean, prices by market, variants that name their parent or stand in a cell."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from products_of import load

from shelfwise.errors import UnreadableFile
from shelfwise.schema import now
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


@pytest.mark.parametrize(
    ("column", "words", "states"),
    [
        ("Stan", "Nowy Używany", "in_stock/active in_stock/active"),
        ("Stan", "5 0", "in_stock/active out_of_stock/active"),
        ("Stan", "dostępny niedostępny", "in_stock/active out_of_stock/active"),
        ("Stan", "aktywny ukryty", "in_stock/active in_stock/hidden"),
        ("Stav", "nové použité", "in_stock/active in_stock/active"),
        ("Estado", "nuevo usado", "in_stock/active in_stock/active"),
        ("Estado", "activo inactivo", "in_stock/active in_stock/hidden"),
        ("État", "neuf désactivé", "in_stock/active in_stock/hidden"),
        ("Zustand", "neu gebraucht", "in_stock/active in_stock/active"),
        ("状态", "全新 下架", "in_stock/active in_stock/hidden"),
    ],
)
def test_the_words_say_what_a_column_means(
    column: str, words: str, states: str, new_shop: NewShop, tmp_path: Path
) -> None:
    first, second = words.split()
    _, products = load(new_shop(), tmp_path, f"sku;title;{column}\n1;Phone;{first}\n2;Lamp;{second}\n")
    assert [f"{p.availability}/{p.status}" for p in products.values()] == states.split()
    if products["1"].availability == "in_stock" and first not in ("5", "dostępny", "aktywny", "activo"):
        assert products["1"].attributes[column] == first


def test_a_condition_beside_a_status_hides_nothing(new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(new_shop(), tmp_path, "sku,title,estado,activo\n1,Phone,nuevo,1\n2,Lamp,usado,0\n")
    assert [str(p.status) for p in products.values()] == ["active", "hidden"]


def test_a_word_of_another_column_does_not_make_one_unknown(new_shop: NewShop, tmp_path: Path) -> None:
    text = "sku,title,visibility,active\n1,Phone,homepage,1\n2,Lamp,newsletter,0\n"
    _, products = load(new_shop(), tmp_path, text)
    assert [str(p.status) for p in products.values()] == ["active", "hidden"]
    text = "sku,title,active\n1,Phone,1\n2,Lamp,perhaps\n"
    report, products = load(new_shop(), tmp_path, text)
    assert [str(p.status) for p in products.values()] == ["active", "hidden"]
    assert "active: perhaps" in report.to_markdown()


def test_stock_alone_updates_by_warehouse_and_by_level(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    load(shop, tmp_path, "sku,title,stock_a,stock_b\n1,Phone,1,2\n2,Lamp,0,1\n")
    _, products = load(shop, tmp_path, "sku,stock_a,stock_b\n1,0,0\n2,0,4\n")
    assert [str(p.availability) for p in products.values()] == ["out_of_stock", "in_stock"]
    _, products = load(shop, tmp_path, "sku;Stan\n1;3\n2;0\n")
    assert [str(p.availability) for p in products.values()] == ["in_stock", "out_of_stock"]


MARKETS = """Handle,Title,Vendor,Published,Option1 Name,Option1 Value,Variant SKU,Variant Inventory Qty,Variant Inventory Policy,Variant Price,Variant Compare At Price,Included / Canada,Price / Canada,Compare At Price / Canada,Included / International,Price / International,Compare At Price / International,Google Shopping / Gender,Status
tee,Tee,Acme,true,Size,S,TEE-S,4,deny,20.00,25.00,true,,,true,24.00,30.00,unisex,active
tee,,,,,L,TEE-L,1,deny,20.00,22.00,,,,,23.00,,,
bag,Bag,Acme,true,Title,Default Title,BAG,3,deny,50.00,,false,,,true,60.00,,,active
cap,Cap,Acme,true,Title,Default Title,CAP,3,deny,5.00,,false,,,false,,,,active
off,Off,Acme,true,Title,Default Title,OFF,3,deny,5.00,,true,,,true,,,,draft
"""


@pytest.mark.parametrize(
    ("market", "prices", "shown"),
    [
        ("", [(20, 25), (20, 22), (50, None)], ["TEE-S", "TEE-L", "BAG"]),
        ("International", [(24, 30), (23, None), (60, None)], ["TEE-S", "TEE-L", "BAG"]),
        ("canada", [(20, 25), (20, 22)], ["TEE-S", "TEE-L"]),
    ],
)
def test_shopify_prices_by_market(
    market: str, prices: list[tuple[float, float | None]], shown: list[str], new_shop: NewShop, tmp_path: Path
) -> None:
    mapping = {"market": f"={market}"} if market else None
    report, products = load(new_shop(), tmp_path, MARKETS, mapping=mapping)
    offers = {name: seen for name, product in products.items() if (seen := product.offered(now())) is not None}
    assert list(offers) == shown
    assert [(one.price, one.original_price) for one in offers.values()] == prices
    assert ("market==Canada" in report.to_markdown()) == (not market)
    assert products["TEE-S"].attributes["gender"] == "unisex"


def test_a_market_that_is_none(new_shop: NewShop, tmp_path: Path) -> None:
    with pytest.raises(UnreadableFile, match="no market 'Mars'; its markets: Canada, International"):
        load(new_shop(), tmp_path, MARKETS, mapping={"market": "=Mars"})


VARIANTS = [{"sku": "P-S", "size": "S", "price": 20, "stock": 3}, {"sku": "P-L", "size": "L", "price": 22, "stock": 0}]


@pytest.mark.parametrize("kind", ["JSON", "Python", "Parquet", "text in JSON"])
def test_variants_in_a_cell(kind: str, new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    if kind == "Parquet":
        pl.DataFrame(
            {"id": ["C", "P"], "title": ["Cup", "Shirt"], "price": [5, 20], "variants": [[], VARIANTS]}
        ).write_parquet(tmp_path / "f.parquet")
        report = shop.load_products(tmp_path / "f.parquet")
        products = shop.store.products(shop.store.product_ids())
    elif kind == "text in JSON":
        lines = [
            {"id": "C", "title": "Cup", "price": 5},
            {"id": "P", "title": "Shirt", "variants": json.dumps(VARIANTS)},
        ]
        report, products = load(shop, tmp_path, "\n".join(map(json.dumps, lines)), "f.jsonl")
    else:
        cell = (json.dumps(VARIANTS) if kind == "JSON" else repr(VARIANTS)).replace('"', '""')
        many = "".join(f"C{n},[Nr. {n}],5,\n" for n in range(150))  # the list may stand far behind
        report, products = load(shop, tmp_path, f'id,title,price,variants\n{many}P,Shirt,20,"{cell}"\nC,Cup,5,\n')
    found = {name: product for name, product in products.items() if name[:2] in ("P", "P-", "C")}
    assert {name: (p.title, p.price, str(p.availability), p.item_group_id) for name, p in found.items()} == {
        "C": ("Cup", 5, "in_stock", ""),
        "P-S": ("Shirt", 20, "in_stock", "P"),
        "P-L": ("Shirt", 22, "out_of_stock", "P"),
    }
    if kind in ("JSON", "Python"):
        assert "nested_cells" in {issue.kind for issue in report.issues}
        assert products["C7"].title == "[Nr. 7]"


def test_photos_categories_and_attributes_in_cells(new_shop: NewShop, tmp_path: Path) -> None:
    text = """id,title,price,images,categories,attributes
1,Cup,5,"[""https://x.example/a.jpg"", ""https://x.example/b.jpg""]","[""Home"", ""Cups""]","[{""name"": ""colour"", ""value"": ""red""}]"
"""
    _, products = load(new_shop(), tmp_path, text)
    cup = products["1"]
    assert (cup.image_link, cup.product_type, cup.attributes["colour"]) == (
        "https://x.example/a.jpg",
        "Home > Cups",
        "red",
    )


SHOPWARE = """Produktname;Produktnummer;Lagerbestand;Aktiv;Bruttopreis;Hersteller;{};Abverkauf
Stuhl;SW1;0;Ja;"99,90 €";Acme;;Nein
Tisch;SW2;3;Nein;"199,90 €";Acme;;Ja
Hemd S;SW3.1;5;Ja;;;{};Ja
Hemd;SW3;0;Ja;"20,00 €";Acme;{};Ja
Hemd L;SW3.2;0;Ja;"22,00 €";;{};Ja
"""


@pytest.mark.parametrize(
    "text",
    [SHOPWARE.format("Hauptartikel", "SW3", "", "SW3"), SHOPWARE.format("Varianten", "", "SW3.1|SW3.2", "")],
    ids=["parents", "children"],
)
def test_shopware_lists_with_german_headings(text: str, new_shop: NewShop, tmp_path: Path) -> None:
    report, products = load(new_shop(), tmp_path, text)
    assert {
        n: (p.price, p.brand, str(p.availability), str(p.status), p.item_group_id) for n, p in products.items()
    } == {
        "SW1": (99.9, "Acme", "backorder", "active", ""),
        "SW2": (199.9, "Acme", "in_stock", "hidden", ""),
        "SW3.1": (20, "Acme", "in_stock", "active", "SW3"),
        "SW3.2": (22, "Acme", "out_of_stock", "active", "SW3"),
    }
    assert report.joined == 1


@pytest.mark.parametrize(
    ("column", "suffix"),
    [
        ("parent_sku", "csv"),
        ("Produit parent", "csv"),
        ("父商品", "csv"),
        ("parent_sku", "jsonl"),
        ("parent_sku", "xml"),
    ],
)
def test_who_names_a_parent_takes_what_it_lacks(column: str, suffix: str, new_shop: NewShop, tmp_path: Path) -> None:
    rows = [
        {"sku": "SH-S", column: "SH", "title": "Shirt S", "price": "", "stock": "5", "active": ""},
        {"sku": "SH", column: "", "title": "Shirt", "price": "20", "stock": "0", "active": "0", "brand": "Acme"},
        {"sku": "CUP", column: "", "title": "Cup", "price": "5", "stock": "1", "active": "1", "brand": "Acme"},
        {"sku": "LID", column: "LOST", "title": "Lid", "price": "5", "stock": "1", "active": "1", "brand": "Acme"},
    ]
    if suffix == "csv":
        names = ("sku", column, "title", "price", "stock", "active", "brand")
        cells = [list(names), *([row.get(name, "") for name in names] for row in rows)]
        text = "\n".join(map(",".join, cells))
    elif suffix == "jsonl":
        text = "\n".join(json.dumps(row) for row in rows)
    else:
        items = ("".join(f"<{name}>{value}</{name}>" for name, value in row.items()) for row in rows)
        text = f"<products>{''.join(f'<product>{item}</product>' for item in items)}</products>"
    report, products = load(new_shop(), tmp_path, text, f"f.{suffix}")
    assert list(products) == ["SH-S", "CUP", "LID"]
    shirt = products["SH-S"]
    assert (shirt.price, shirt.brand, str(shirt.availability)) == (20, "Acme", "in_stock")
    assert (str(shirt.status), shirt.item_group_id) == ("hidden", "SH")  # as its parent is
    assert "LID: LOST" in report.to_markdown()
