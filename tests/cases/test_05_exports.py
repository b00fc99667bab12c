# ruff: noqa: E501 (exports are wide)
"""Cases 03 and 05 and their kind: the exports of shop systems."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from shelfwise.catalogue.filters import SearchFilters
from shelfwise.intake.report import QualityReport
from shelfwise.schema import Product
from shelfwise.shop import Shop

Load = Callable[..., tuple[Shop, QualityReport, dict[str, Product]]]


@pytest.fixture
def load(tmp_path: Path, new_shop: Callable[..., Shop]) -> Load:
    """Loads a text or a file into a fresh shop: the shop, the report, and what shoppers see by id."""

    def loaded(content: str | Path, **options: object) -> tuple[Shop, QualityReport, dict[str, Product]]:
        path = content if isinstance(content, Path) else tmp_path / "export.csv"
        if isinstance(content, str):
            path.write_text(content, "utf-8")
        shop = new_shop(currency="EUR")
        report = shop.load_products(path, **options)  # type: ignore[arg-type]
        return shop, report, shop.offers.products(shop.store.product_ids())

    return loaded


def _found(shop: Shop, query: str) -> set[str]:
    answer = shop.search(query, filters=SearchFilters(availability=None), k=50, group=False)
    return {hit.product for hit in answer.items}


def _kinds(report: QualityReport) -> dict[str, int]:
    return {issue.kind: issue.count for issue in report.issues}


@pytest.mark.parametrize("shuffled", [False, True])
def test_shopify(shuffled: bool, case: Callable[[int], Path], load: Load, tmp_path: Path) -> None:
    path = case(3) / "products_export.csv"
    if shuffled:  # as a spreadsheet sorts by price
        import csv

        with path.open(newline="") as file:
            header, *rows = csv.reader(file)
        with (tmp_path / "sorted.csv").open("w", newline="") as file:
            csv.writer(file).writerows([header, *sorted(rows, key=lambda row: row[13])])
        path = tmp_path / "sorted.csv"
    shop, report, shown = load(path)
    assert report.facts["format"] == "Shopify"
    assert set(shown) == {"FS-S", "FS-M", "FS-L", "FS-XL", "gift-card-25", "gift-card-50"}
    stock = {name: str(product.availability) for name, product in shown.items() if name.startswith("FS")}
    assert stock == {"FS-S": "in_stock", "FS-M": "out_of_stock", "FS-L": "in_stock", "FS-XL": "in_stock"}
    assert (report.hidden, report.joined) == (3, 2)
    assert _kinds(report)["hidden_draft"] == _kinds(report)["hidden_archived"] == _kinds(report)["hidden_hidden"] == 1
    assert all(word in shown["FS-M"].description for word in ("flax", 'Cut "wide"', "Colours: sand"))
    assert "<" not in shown["FS-M"].description
    assert (shown["FS-S"].price, shown["FS-S"].original_price) == (49.0, 59.0)
    assert shown["FS-XL"].title == "Flax shirt XL"
    for query in ("storm coat", "chipped mug", "flax roll"):
        assert not _found(shop, query) & {"SC-1", "MUG-0", "ROLL-50"}


def test_woocommerce(case: Callable[[int], Path], load: Load) -> None:
    path = case(5) / "wc-product-export.csv"
    shop, report, shown = load(path)
    assert report.facts["format"] == "WooCommerce"
    assert set(shown) == {"102", "103", "104", "108", "109"}
    assert shown["103"].availability == "out_of_stock"
    assert shown["102"].item_group_id == shown["103"].item_group_id == "101"
    assert (shown["102"].price, shown["102"].original_price) == (39.5, 45.0)
    assert shown["104"].product_type == "Outdoor, garden > Bottles"
    assert shown["102"].product_type == "Clothing > Hoodies"
    assert "\\n" not in shown["102"].description
    assert "Two pockets." in shown["102"].description
    assert shown["108"].availability == "backorder"
    assert _found(shop, "bottle") == {"104", "108"}
    assert _found(shop, "trail hoody") == {"102", "103"}
    assert (report.hidden, report.joined) == (3, 1)


def test_woocommerce_mapped(case: Callable[[int], Path], load: Load) -> None:
    path = case(5) / "wc-product-export.csv"
    _, report, shown = load(path, mapping={"id": "SKU"})
    assert set(shown) == {"hoody-green", "007", "ext", "grp"}
    issue = next(issue for issue in report.issues if issue.kind == "invalid_id")
    assert [line for line, _ in issue.examples] == [4]
    _, _, shown = load(path, mapping={"item_group_id": "Parent", "availability": "In stock?"})
    assert shown["103"].availability == "out_of_stock"
    assert shown["102"].item_group_id == "hoody"


GERMAN = """ID,Typ,SKU,Name,Veröffentlicht,"Ist hervorgehoben?",Sichtbarkeit im Katalog,Kurzbeschreibung,Beschreibung,"Datum, an dem Angebotspreis beginnt","Datum, an dem Angebotspreis endet",Vorrätig?,Lager,Lieferrückstände erlaubt?,Angebotspreis,Regulärer Preis,Kategorien,Bilder,Übergeordnetes Produkt,Attribut 1 Name,Attribut 1 Wert(e)
12,variation,T-1,Tasse - Blau,1,0,visible,,,2020-01-01,2020-02-01,1,,0,"5,00","9,90",,,id:11,Farbe,Blau
11,variable,T,Tasse,1,0,visible,,Aus Ton,,,1,,0,,,Küche > Tassen,https://img.example/t.jpg,,Farbe,"Blau, Rot"
13,simple,G,Geheime Tasse,0,0,visible,,,,,1,,0,,"9,90",,,,,
"""


def test_woocommerce_in_german(load: Load) -> None:
    _, report, shown = load(GERMAN)
    assert report.facts["format"] == "WooCommerce"
    assert set(shown) == {"12"}
    cup = shown["12"]
    assert (cup.price, cup.product_type, cup.item_group_id) == (9.90, "Küche > Tassen", "11")
    assert cup.attributes["Farbe"] == "Blau"
    assert cup.image_link.endswith("t.jpg")


MAGENTO = """sku,store_view_code,attribute_set_code,product_type,categories,product_websites,name,description,product_online,visibility,price,special_price,special_price_from_date,special_price_to_date,base_image,additional_attributes,qty,is_in_stock,allow_backorders,configurable_variations
WS-M,,Top,simple,,base,Wool sweater-M,,1,Not Visible Individually,40,30,2020-01-01,2099-01-01,,"size=M,color=Red",0,1,0,
WS,de,,,,,Wollpullover,,,,,,,,,,,,,
WS,,Top,configurable,"Default Category/Men,Default Category/Men/Sweaters",base,Wool sweater,<p>Warm</p>,1,"Catalog, Search",,,,,https://img.example/ws.jpg,,0,1,0,"sku=WS-S,size=S|sku=WS-M,size=M"
WS-S,,Top,simple,,base,Wool sweater-S,,1,Not Visible Individually,40,,,,,"size=S,color=Red",5,1,0,
OFF,,Top,simple,Default Category/Men,base,Disabled sweater,,2,"Catalog, Search",10,,,,,,5,1,0,
LONE,,Top,simple,Default Category/Men,base,Spare part,,1,Not Visible Individually,10,,,,,,5,1,0,
CAT,,Top,simple,Default Category/Men,base,Catalogue only,,1,Catalog,10,,,,,,5,1,0,
"""


def test_magento(load: Load) -> None:
    _, report, shown = load(MAGENTO)
    assert report.facts["format"] == "Magento"
    assert set(shown) == {"WS-S", "WS-M"}
    assert {product.item_group_id for product in shown.values()} == {"WS"}
    small = shown["WS-S"]
    assert (small.product_type, small.description, small.price) == ("Men > Sweaters", "Warm", 40)
    assert small.image_link.endswith("ws.jpg")
    assert (small.attributes["size"], small.availability) == ("S", "in_stock")
    assert (shown["WS-M"].price, shown["WS-M"].original_price) == (30, 40)
    assert report.hidden == 3
    assert _kinds(report)["joined_view"] == 1


PRESTASHOP = """Product ID;Active (0/1);Name *;Categories (x,y,z...);Price tax included;Discount percent;Discount from (yyyy-mm-dd);Discount to (yyyy-mm-dd);Reference #;Manufacturer;EAN13;Quantity;Visibility;Description;Image URLs (x,y,z...)
1;1;Teapot;Home/Kitchen;20,00;25;2020-01-01;2099-01-01;TP;Kiln;4006381333931;3;both;<p>Round</p>;https://img.example/1.jpg,https://img.example/2.jpg
2;0;Cup;Home;5,00;;0000-00-00;0000-00-00;CP;Kiln;;3;both;;
3;1;Spoon;Home;5,00;;;;SP;Kiln;;0;none;;
4;1;Bowl;Home;5,00;;;;BW;Kiln;;0;both;;
"""


def test_prestashop(load: Load) -> None:
    _, report, shown = load(PRESTASHOP)
    assert report.facts["format"] == "PrestaShop"
    assert set(shown) == {"1", "4"}
    pot = shown["1"]
    assert (pot.price, pot.original_price, pot.product_type) == (15.0, 20.0, "Home > Kitchen")
    assert (pot.gtin, pot.image_link) == ("4006381333931", "https://img.example/1.jpg")
    assert shown["4"].availability == "out_of_stock"
    assert report.hidden == 2


SHOPWARE = """id;parent_id;product_number;active;stock;name;description;price_net;price_gross;tax_id;cover_media_url;manufacturer_name;categories;sales_channel;is_closeout;options
v1;p1;SW-1.1;;0;;;;;;;;;;;color: Red
p1;;SW-1;1;0;Hat;Felt;20;23,80;t;https://img.example/h.jpg;Hutmann;Hats;s1;1;
v2;p1;SW-1.2;1;4;;;;29.90;;;;;;;color: Blue
p2;;SW-2;0;4;Old hat;;10;11.90;t;;;Hats;s1;0;
p3;;SW-3;1;0;Cap;;10;11.90;t;;;Hats;s1;0;
"""


def test_shopware(load: Load) -> None:
    _, report, shown = load(SHOPWARE)
    assert report.facts["format"] == "Shopware"
    assert set(shown) == {"SW-1.1", "SW-1.2", "SW-3"}
    assert {shown[name].item_group_id for name in ("SW-1.1", "SW-1.2")} == {"SW-1"}
    assert (shown["SW-1.1"].title, shown["SW-1.1"].price, shown["SW-1.1"].brand) == ("Hat Red", 23.8, "Hutmann")
    assert shown["SW-1.2"].price == 29.9
    stock = [str(shown[name].availability) for name in ("SW-1.1", "SW-1.2", "SW-3")]
    assert stock == ["out_of_stock", "in_stock", "backorder"]


AMAZON = """TemplateType=fptcustom\tVersion=2023.1\tThe top 3 rows are for Amazon.com use only.\t\t\t\t\t\t\t\t\t
Product Type\tSeller SKU\tProduct Name\tBrand\tPrice\tQuantity\tMain Image\tParentage\tParent SKU\tSize\tProduct ID\tUpdate Delete\tKey Features
feed_product_type\titem_sku\titem_name\tbrand_name\tstandard_price\tquantity\tmain_image_url\tparent_child\tparent_sku\tsize_name\texternal_product_id\tupdate_delete\tbullet_point1
shirt\tP-S\tLinen shirt S\tBay\t45.00\t3\thttps://img.example/s.jpg\tChild\tP\tS\t4006381333931\tUpdate\tAiry
shirt\tP\tLinen shirt\tBay\t\t\t\tParent\t\t\t\tUpdate\t
shirt\tP-M\tLinen shirt M\tBay\t45.00\t0\t\tChild\tP\tM\t\tUpdate\t
shirt\tOLD\tOld shirt\tBay\t45.00\t3\t\t\t\t\t\tDelete\t
"""

LISTINGS = "item-name\titem-description\tlisting-id\tseller-sku\tprice\tquantity\topen-date\tasin1\tfulfillment-channel\tstatus\n" \
    "Mug\tBlue\tL1\tM-1\t9.00\t4\t\tB01\tDEFAULT\tActive\nCup\tRed\tL2\tC-1\t9.00\t0\t\tB02\tDEFAULT\tInactive\n" \
    "Pot\tRed\tL3\tP-1\t9.00\t\t\tB03\tAMAZON_NA\tActive\n"  # fmt: skip


def test_amazon(load: Load) -> None:
    _, report, shown = load(AMAZON)
    assert report.facts["format"] == "Amazon"
    assert set(shown) == {"P-S", "P-M"}
    assert {product.item_group_id for product in shown.values()} == {"P"}
    assert "Airy" in shown["P-S"].description
    assert shown["P-M"].availability == "out_of_stock"
    _, report, shown = load(LISTINGS)
    assert set(shown) == {"M-1", "P-1"}
    assert {product.availability for product in shown.values()} == {"in_stock"}


def test_other_feeds_say_it_in_a_column(load: Load) -> None:
    feed = "id,title,state\n1,a,live\n2,b,paused\n3,c,coming\n"
    _, _, shown = load(feed)
    assert set(shown) == {"1", "2", "3"}  # nothing says that this is a status
    _, report, shown = load(feed, mapping={"status": "state"})
    assert set(shown) == {"1"}
    assert _kinds(report)["unknown_status"] == 1
    _, _, shown = load(feed, mapping={"status": "state|shown:live,coming"})
    assert set(shown) == {"1", "3"}
    condition = "id,title,status\n1,a,new\n2,b,used\n"
    _, _, shown = load(condition)
    assert {product.attributes["status"] for product in shown.values()} == {"new", "used"}
    _, report, shown = load("id,title,published,password\n1,a,yes,\n2,b,no,\n3,c,yes,secret\n4,d,soon,\n")
    assert set(shown) == {"1"}
    assert _kinds(report)["unknown_status"] == 1


SHOPIFY_2025 = """Title,URL handle,Description,Vendor,Type,Published on online store,Status,SKU,Barcode,Option1 name,Option1 value,Price,Compare-at price,Inventory tracker,Inventory quantity,Continue selling when out of stock,Product image URL,Image position
Flax shirt,flax,<p>Airy</p>,Bay,Shirts,TRUE,Active,F-S,,Size,S,49.00,59.00,shopify,0,DENY,https://img.example/f.jpg,1
Coat,coat,,Bay,,FALSE,Active,C-1,,Title,Default Title,9.00,,shopify,3,DENY,,
,flax,,,,,,F-M,,,M,49.00,,shopify,0,CONTINUE,https://img.example/g.jpg,2
,flax,,,,,,,,,,,,,,,https://img.example/h.jpg,3
Draft,draft,,Bay,,TRUE,Draft,D-1,,Title,Default Title,9.00,,shopify,3,DENY,,
"""


def test_shopify_by_its_newer_headings(load: Load) -> None:
    _, report, shown = load(SHOPIFY_2025)
    assert report.facts["format"] == "Shopify"
    assert set(shown) == {"F-S", "F-M"}
    assert [str(shown[name].availability) for name in ("F-S", "F-M")] == ["out_of_stock", "in_stock"]
    assert (shown["F-S"].title, shown["F-S"].price, shown["F-S"].original_price) == ("Flax shirt S", 49, 59)
    assert (shown["F-M"].item_group_id, shown["F-M"].brand) == ("flax", "Bay")
    assert (report.hidden, report.joined) == (2, 1)


PRESTASHOP_FRENCH = """ID,"Actif (0/1)","Nom *","Catégories (x,y,z...)","Prix TTC","Pourcentage de réduction","Référence n°",Marque,EAN13,Quantité,Visibilité,"URL des images (x,y,z...)"
1,1,Théière,"Accueil,Cuisine","20,00",10,TP,Kiln,4006381333931,3,both,https://img.example/1.jpg
2,0,Tasse,Accueil,"5,00",,CP,Kiln,,3,both,
3,1,Cachée,Accueil,"5,00",,CC,Kiln,,3,none,
"""


def test_prestashop_in_french(load: Load) -> None:
    _, report, shown = load(PRESTASHOP_FRENCH)
    assert report.facts["format"] == "PrestaShop"
    assert set(shown) == {"1"}
    assert (shown["1"].title, shown["1"].price, shown["1"].product_type) == ("Théière", 18, "Cuisine")


def test_headings_with_what_is_no_part_of_the_name(load: Load) -> None:
    """As spreadsheets of no known system have them: what hides must hide all the same."""
    _, report, shown = load("Artikelnummer *;Bezeichnung:;Preis (EUR);Aktiv (0/1)\n1;Kanne;9,90;1\n2;Topf;5;0\n")
    assert set(shown) == {"1"}
    assert (shown["1"].title, shown["1"].price, report.hidden) == ("Kanne", 9.9, 1)


AMAZON_2024 = (
    "settings=attributeRow=3&contentLanguageTag=en_US\t\t\t\t\t\t\n"
    "SKU\tTitle\tBrand\tPrice\tQty\tParentage\tParent\n"
    "contribution_sku#1.value\titem_name[marketplace_id=A1][language_tag=en_US]#1.value\tbrand[marketplace_id=A1]#1.value\tpurchasable_offer[marketplace_id=A1]#1.our_price#1.schedule#1.value_with_tax\tfulfillment_availability#1.quantity\tparentage_level[marketplace_id=A1]#1.value\tchild_parent_sku_relationship[marketplace_id=A1]#1.parent_sku\n"
    "P-S\tShirt S\tBay\t45.0\t3\tChild\tP\nP\tShirt\tBay\t\t\tParent\t\nQ\tCoat\tBay\t\t\tParent\t\n"
)


def test_amazon_by_its_newer_names(load: Load) -> None:
    _, report, shown = load(AMAZON_2024)
    assert report.facts["format"] == "Amazon"
    assert set(shown) == {"P-S"}
    assert (shown["P-S"].title, shown["P-S"].price, shown["P-S"].item_group_id) == ("Shirt S", 45, "P")


def test_ids_and_gtins_that_spreadsheets_wrote(load: Load) -> None:
    _, report, shown = load("id,title,gtin\n1.2E+4,a,\n0012,b,4006381333931.0\n12.0,c,4.01E+12\n1E3,d,\n")
    assert list(shown) == ["1.2E+4", "0012", "12.0", "1E3"]
    assert shown["0012"].gtin == "4006381333931"
    assert _kinds(report) == {"damaged_id": 1, "float_gtin": 1, "damaged_gtin": 1}


def test_woocommerce_types_of_several_words(load: Load) -> None:
    _, report, shown = load(
        "ID,Type,SKU,Name,Published,Visibility in catalog,Regular price,Categories,Parent\n"
        '11,"variation, downloadable, virtual",D-1,Song - mp3,1,visible,2,,D\n12,"variable, virtual",D,Song,1,visible,,Music,\n'
        '13,"simple, virtual",V,Voucher,1,visible,5,Music,\n'
    )
    assert set(shown) == {"11", "13"}
    assert (shown["11"].item_group_id, shown["11"].product_type, report.joined) == ("12", "Music", 1)
