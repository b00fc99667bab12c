# ruff: noqa: E501 (rows are wide)
"""Words and columns of exports in other languages and of other tools: Excel's truth, codes, ranges, several warehouses,
events as JSON in a table's cell, test orders, returns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from products_of import load

from shelfwise.intake.report import QualityReport
from shelfwise.schema import now
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def events(shop: Shop, folder: Path, text: str, name: str = "f.csv") -> tuple[QualityReport, list[tuple[str, str]]]:
    (folder / name).write_text(text, "utf-8")
    report = shop.load_events(folder / name)
    frame = pl.concat(list(shop.store.event_frames()))
    return report, sorted(frame.select("type", "product").iter_rows())


def test_shopify_saved_by_a_german_excel(new_shop: NewShop, tmp_path: Path) -> None:
    text = """Handle;Title;Vendor;Published;Option1 Name;Option1 Value;Variant SKU;Variant Inventory Qty;Variant Inventory Policy;Variant Price;Variant Compare At Price;Status
sofa;Sofa;Acme;WAHR;Title;Default Title;S;3;deny;"1.299,00";"1.599,00";active
secret;Secret;Acme;FALSCH;Title;Default Title;G;4;deny;9,90;;active
"""
    _, products = load(new_shop(currency="EUR"), tmp_path, text)
    seen = products["S"].offered(now())
    assert seen is not None
    assert (str(products["S"].status), seen.price, seen.original_price) == ("active", 1299, 1599)
    assert str(products["G"].status) == "hidden"


@pytest.mark.parametrize(
    ("column", "shown", "hides"),
    [
        ("is_active", "t", "f"),
        ("En ligne", "oui", "non"),
        ("Widoczny", "PRAWDA", "FAŁSZ"),
        ("discontinued", "No", "Yes"),
        ("Gesperrt", "nein", "ja"),
    ],
)
def test_columns_that_hide(column: str, shown: str, hides: str, new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(new_shop(), tmp_path, f"sku,title,{column}\n1,Chair,{shown}\n2,Secret,{hides}\n")
    assert [str(p.status) for p in products.values()] == ["active", "hidden"]


def test_a_product_ends_with_its_life(new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(new_shop(), tmp_path, "sku,title,end_of_life\n1,Chair,2020-01-01\n2,Table,\n")
    assert [p.offered(now()) is None for p in products.values()] == [True, False]


@pytest.mark.parametrize(
    ("text", "price"),
    [
        ("19.90 - 29.90", 19.9), ("ab 9,90 €", 9.9), ("from $5.00", 5.0), ("199元起", 199.0), ("€10 – €20", 10.0),
        ("à partir de 1 299,00 €", 1299.0), ("Fr. 49.-", 49.0), ("CHF 1'299.–", 1299.0), ("call us", None), ("29 - 19", None),
    ],
)  # fmt: skip
def test_of_several_prices_the_lowest(text: str, price: float | None, new_shop: NewShop, tmp_path: Path) -> None:
    report, products = load(new_shop(), tmp_path, f'sku,title,price\n1,Chair,"{text}"\n')
    assert products["1"].price == price
    if price is None:
        assert any(issue.kind == "unreadable_price" for issue in report.issues)


def test_the_price_with_tax_and_prices_in_cents(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    load(shop, tmp_path, "SKU,Name,Price (ex VAT),Price (inc VAT)\nA,Chair,100.00,120.00\n")
    _, products = load(shop, tmp_path, "sku,title,price_cents\nB,Table,1999\n")
    assert (products["A"].price, products["B"].price) == (120, 19.99)


def test_stock_of_several_warehouses_and_in_words(new_shop: NewShop, tmp_path: Path) -> None:
    shop = new_shop()
    load(shop, tmp_path, "sku,title,stock_berlin,stock_hamburg\n1,Chair,0,3\n2,Table,0,0\n")
    _, products = load(shop, tmp_path, "Artikelnr;Bezeichnung;Lager\n3;Sofa;>10\n4;Bett;nicht lieferbar\n")
    assert [str(p.availability) for p in products.values()] == ["in_stock", "out_of_stock", "in_stock", "out_of_stock"]


def test_the_catalogue_of_klaviyo(new_shop: NewShop, tmp_path: Path) -> None:
    feed = [
        {"id": str(policy), "title": "Lamp", "price": 5, "inventory_quantity": 0, "inventory_policy": policy}
        for policy in (0, 1, 2)
    ]
    _, products = load(new_shop(), tmp_path, json.dumps(feed), "f.json")
    assert [str(p.availability) for p in products.values()] == ["backorder", "out_of_stock", "backorder"]


def test_products_whose_fields_are_attributes(new_shop: NewShop, tmp_path: Path) -> None:
    text = '<offers><o id="17" price="123.00" stock="0" url="https://x.example/1"><name>Chair</name></o><o id="18" name="Table" price="5" stock="3"/></offers>'
    _, products = load(new_shop(), tmp_path, text, "f.xml")
    assert [(p.title, p.price, str(p.availability)) for p in products.values()] == [
        ("Chair", 123, "out_of_stock"),
        ("Table", 5, "in_stock"),
    ]


def test_events_as_json_in_a_cell(new_shop: NewShop, tmp_path: Path) -> None:
    order = json.dumps({"order_id": "o1", "products": [{"product_id": "A", "quantity": 1}, {"product_id": "B"}]})
    rows = [("Product Viewed", json.dumps({"product_id": "A"})), ("Order Completed", order)]
    text = "id,received_at,user_id,event,properties\n"
    for place, (event, said) in enumerate(rows):
        said = said.replace('"', '""')
        text += f'{place},2024-05-03 10:00:00.123 UTC,u1,{event},"{said}"\n'
    assert events(new_shop(), tmp_path, text)[1] == [("purchase", "A"), ("purchase", "B"), ("view_item", "A")]


def test_metrics_of_klaviyo_and_other_words(new_shop: NewShop, tmp_path: Path) -> None:
    text = """Metric,Timestamp,Person ID,Item ID
Viewed Item,03/May/2024:10:00:00 +0200,u1,A
Added to Wishlist,03/May/2024:10:01:00 +0200,u1,A
Removed from Cart,03/May/2024:10:02:00 +0200,u1,A
Ordered Product,03/May/2024:10:03:00 +0200,u1,A
Refunded Order,03/May/2024:10:04:00 +0200,u1,B
"""
    assert events(new_shop(), tmp_path, text)[1] == [
        ("add_to_wishlist", "A"), ("purchase", "A"), ("refund", "B"), ("remove_from_cart", "A"), ("view_item", "A"),
    ]  # fmt: skip


def test_test_orders_and_orders_never_paid_are_none(new_shop: NewShop, tmp_path: Path) -> None:
    orders = [
        {"id": number, "created_at": "2024-05-03T10:00:00Z", "test": number == 1, "customer": {"id": 9},
         "financial_status": "Erreur de paiement" if number == 2 else "paid",
         "line_items": [{"product_id": number, "quantity": 1, "price": "10.00"}]}
        for number in (1, 2, 3)
    ]  # fmt: skip
    report, found = events(new_shop(), tmp_path, json.dumps(orders), "f.json")
    assert found == [("purchase", "3")]
    assert {"test_order", "unpaid_order"} <= {issue.kind for issue in report.issues}


def test_a_report_of_returns_is_of_refunds(new_shop: NewShop, tmp_path: Path) -> None:
    text = "return-date\torder-id\tsku\tquantity\treason\n2024-05-10T00:00:00+00:00\t111-1\tA\t1\tUNWANTED\n"
    assert events(new_shop(), tmp_path, text, "f.txt")[1] == [("refund", "A")]


def test_an_answer_that_breaks_its_lines_anywhere(new_shop: NewShop, tmp_path: Path) -> None:
    text = '{"items":[{"increment_id":"1","customer_id":5,"created_at":"2024-05-03 10:00:00","items":[{"sku":"A","qty_ordered":1,"price":10}]},\n{"increment_id":"2","customer_id":5,"created_at":"2024-05-03 11:00:00","items":[{"sku":"B","qty_ordered":1,"price":10}]}]}'
    assert events(new_shop(), tmp_path, text, "f.json")[1] == [("purchase", "A"), ("purchase", "B")]


def test_one_address_in_two_cases_is_said(new_shop: NewShop, tmp_path: Path) -> None:
    text = "email,sku,event,time\nBob@X.com,A,purchase,2024-05-03 10:00:00\nbob@x.com,B,purchase,2024-05-04 10:00:00\nAnn,B,purchase,2024-05-04 10:00:00\n"
    report, _ = events(new_shop(), tmp_path, text)
    issue = next(issue for issue in report.issues if issue.kind == "customer_in_two_cases")
    assert (issue.count, issue.examples[0][1]) == (1, "Bob@X.com, bob@x.com")
    assert "|lower" in issue.explanation


def test_titles_by_language_and_prices_by_currency(new_shop: NewShop, tmp_path: Path) -> None:
    text = "sku,name-en_US,name-de_DE,description_en,price-USD,price-EUR\n1,Chair,Stuhl,Nice,12,10\n"
    for currency, price in (("EUR", 10), ("USD", 12), ("GBP", 12)):
        product = load(new_shop(currency=currency), tmp_path, text)[1]["1"]
        assert (product.title, product.description, product.price) == ("Chair", "Nice", price)
        assert product.currency == ("USD" if currency == "GBP" else currency)


def test_a_word_before_a_price_is_no_currency(new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(new_shop(), tmp_path, 'sku,title,price\n1,Tea,"UVP 5,00 €"\n2,Cup,RRP £4.50\n3,Pot,AUD $7\n')
    assert [(p.price, p.currency) for p in products.values()] == [(5, "EUR"), (4.5, "GBP"), (7, "AUD")]


def test_wix_by_its_newer_columns(new_shop: NewShop, tmp_path: Path) -> None:
    text = """handle,fieldType,name,visible,plainDescription,media,productOptionName[1],productOptionType[1],productOptionChoices[1],price,strikethroughPrice,inventory,sku,brand
P1,PRODUCT,Shirt,TRUE,Cool,https://x.example/a.jpg;https://x.example/b.jpg,Size,TEXT_CHOICES,S;L,30,40,,,Acme
P1,VARIANT,,TRUE,,,Size,TEXT_CHOICES,S,30,40,5,LS-S,
P1,VARIANT,,TRUE,,,Size,TEXT_CHOICES,L,35,45,OUT_OF_STOCK,LS-L,
P2,PRODUCT,Secret,FALSE,,,,,,10,,IN_STOCK,SEC,
"""
    report, products = load(new_shop(), tmp_path, text)
    assert report.facts["format"] == "Wix"
    assert [(p.title, str(p.availability), str(p.status)) for p in products.values()] == [
        ("Shirt S", "in_stock", "active"),
        ("Shirt L", "out_of_stock", "active"),
        ("Secret", "in_stock", "hidden"),
    ]
    seen = products["LS-S"].offered(now())
    assert seen is not None
    assert (seen.price, seen.original_price, products["LS-S"].brand) == (30, 40, "Acme")
