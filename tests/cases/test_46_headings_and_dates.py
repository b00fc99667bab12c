# ruff: noqa: E501 (rows are wide)
"""Headings that speak of the product, levels of a category, stock of one place, dates of feeds, metafields."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from products_of import load

from shelfwise.intake.report import QualityReport
from shelfwise.schema import now
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]


def said(report: QualityReport) -> str:
    return report.to_markdown()


def test_headings_that_name_the_product_first(new_shop: NewShop, tmp_path: Path) -> None:
    text = """Item.id;Variation.isActive;ItemText.name1;VariationSalesPrice.price;VariationStock.netStock;Manufacturer.name;VariationCategory.path
100;1;Chair;99.90;0;Acme;Furniture
101;0;Secret;9.90;5;Acme;Furniture
"""
    _, products = load(new_shop(), tmp_path, text)
    assert {n: (p.title, p.price, p.brand, str(p.availability), str(p.status)) for n, p in products.items()} == {
        "100": ("Chair", 99.9, "Acme", "out_of_stock", "active"),
        "101": ("Secret", 9.9, "Acme", "in_stock", "hidden"),
    }


def test_an_export_of_jtl(new_shop: NewShop, tmp_path: Path) -> None:
    text = """Artikelnummer;Artikelname;Std. VK Brutto;Lagerbestand Gesamt;Überverkäufe möglich;Aktiv;Kategorie Ebene 1;Kategorie Ebene 2;Ist Vaterartikel;Identifizierungsspalte Vaterartikel;Bild 1
A1;Stuhl;99,90;0;Y;Y;Möbel;Stühle;N;;https://x.example/1.jpg
A2;Hemd;20,00;0;N;Y;Mode;;Y;;
A2-S;Hemd S;20,00;4;N;Y;Mode;;N;A2;
"""
    _, products = load(new_shop(), tmp_path, text)
    assert {n: (p.price, str(p.availability), p.product_type, p.item_group_id) for n, p in products.items()} == {
        "A1": (99.9, "backorder", "Möbel > Stühle", ""),
        "A2-S": (20, "in_stock", "Mode", "A2"),
    }
    assert products["A1"].image_link == "https://x.example/1.jpg"


@pytest.mark.parametrize("column", ["inventory_Main_Outlet", "Current Quantity Main"])
def test_the_stock_of_one_place(column: str, new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(
        new_shop(), tmp_path, f"id,handle,name,retail_price,{column}\n1,tee,Tee S,20,3\n2,tee,Tee L,20,0\n"
    )
    assert [(p.price, str(p.availability), p.item_group_id) for p in products.values()] == [
        (20, "in_stock", "tee"),
        (20, "out_of_stock", "tee"),
    ]


def test_a_feed_whose_price_nobody_finds_says_so(new_shop: NewShop, tmp_path: Path) -> None:
    report, _ = load(new_shop(), tmp_path, "id,title,dealer_price_b\n1,Chair,5\n")
    assert "perhaps --map price='dealer_price_b'" in said(report)


DATED = """sku,title,price,sale_price,sale_start,sale_end,date_added
1,Chair,20,15,01/02/2020,{},3/4/2020
2,Lamp,20,15,01/02/2020,03/04/2020,
"""


def test_dates_are_read_as_the_whole_file_says(new_shop: NewShop, tmp_path: Path) -> None:
    many = "".join(f"x{n},Thing,5,,,,\n" for n in range(1_200))
    for late, created in (("28/02/2099", "2020-04-03"), ("02/28/2099", "2020-03-04")):
        _, products = load(new_shop(), tmp_path, DATED.format("") + many + f"9,Sofa,20,15,,{late},\n")
        seen = products["1"].offered(now()), products["2"].offered(now()), products["9"].offered(now())
        assert [one.price for one in seen if one is not None] == [15, 20, 15]
        created_at = products["1"].created
        assert created_at is not None
        assert f"{created_at:%Y-%m-%d}" == created


def test_dates_that_leave_it_open_are_said_with_what_decides(new_shop: NewShop, tmp_path: Path) -> None:
    report, products = load(new_shop(), tmp_path, DATED.format("04/03/2099"))
    assert [p.sale_price for p in products.values()] == [None, None]
    assert '--map "sale_end=sale_end\\|%d/%m/%Y" or --map "sale_end=sale_end\\|%m/%d/%Y"' in said(report)
    mapping = {name: f"{name}|%d/%m/%Y" for name in ("sale_start", "sale_end")} | {"created": "date_added|%m/%d/%Y"}
    _, products = load(new_shop(), tmp_path, DATED.format("04/03/2099"), mapping=mapping)
    end = products["1"].sale_end
    assert end is not None
    assert f"{end:%Y-%m-%d}" == "2099-03-05"  # the day lasts to its end


@pytest.mark.parametrize(
    ("until", "shown"), [("31 Dec 2099", True), ("12/31/2021 5:00 PM", False), ("2021年1月5日", False)]
)
def test_a_last_day_in_words(until: str, shown: bool, new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(new_shop(), tmp_path, f"sku,title,unpublish_on\n1,Chair,{until}\n")
    assert (products["1"].offered(now()) is not None) == shown


def test_magento_as_its_admin_writes_dates_and_photos(new_shop: NewShop, tmp_path: Path) -> None:
    text = """sku,store_view_code,product_type,name,product_online,visibility,price,special_price,special_price_from_date,special_price_to_date,created_at,base_image,qty,is_in_stock
A,,simple,Ball,1,"Catalog, Search",10,5,1/2/20,1/3/99,"1/22/24, 3:04 PM",/b/1.jpg,5,1
"""
    report, products = load(new_shop(), tmp_path, text)
    assert products["A"].sale_price == 5 or "1/3/99" in said(report)
    created = products["A"].created
    assert created is not None
    assert f"{created:%Y-%m-%d %H:%M}" == "2024-01-22 15:04"
    assert "catalog/product/b/1.jpg is missing" in said(report)


def test_shopify_keeps_metafields(new_shop: NewShop, tmp_path: Path) -> None:
    text = """Handle,Title,Option1 Name,Option1 Value,Variant SKU,Variant Price,Cost per item,Color (product.metafields.shopify.color-pattern),Material (product.metafields.custom.material),Google Shopping / MPN,Status
lamp,Lamp,Size,S,L-S,19.90,5,red; blue,Steel,M-1,active
lamp,,,L,L-L,29.90,5,,,,
"""
    _, products = load(new_shop(), tmp_path, text)
    for product in products.values():
        assert (product.attributes["color"], product.attributes["material"], product.mpn) == (
            "red | blue",
            "Steel",
            "M-1",
        )
        assert "5" not in product.attributes.values()


def test_shopware_s_ids_of_options_are_no_title(new_shop: NewShop, tmp_path: Path) -> None:
    parent, option = "0" * 31 + "a", "0" * 31 + "b"
    text = f"""id;parent_id;product_number;active;stock;name;price_gross;sales_channel;optionIds
{parent};;SW1;1;0;Shirt;11.90;s1;
{"0" * 31}c;{parent};SW1.1;;5;;;;{option}|{option}
"""
    _, products = load(new_shop(), tmp_path, text)
    assert [p.title for p in products.values()] == ["Shirt"]


def test_a_merchant_feed_and_an_xml_s_encoding_are_named(new_shop: NewShop, tmp_path: Path) -> None:
    text = "id,title,link,image_link,price,availability\n1,Cup,https://x.example/1,https://x.example/1.jpg,5 EUR,in stock\n"
    report, _ = load(new_shop(), tmp_path, text)
    assert report.facts["format"] == "Google Merchant"
    xml = '<?xml version="1.0" encoding="GBK"?><products><product><id>1</id><title>壶</title></product></products>'
    (tmp_path / "f.xml").write_bytes(xml.encode("gbk"))
    report = new_shop().load_products(tmp_path / "f.xml")
    assert "GB" in report.facts["encoding"]
