# ruff: noqa: E501 (rows are wide)
"""Exports of hosted shops and answers of headless ones: variants joined, hidden kept hidden, prices as shoppers pay
them; products that begin and end; rows that are no products."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from products_of import load

from shelfwise.schema import now
from shelfwise.shop import Shop

NewShop = Callable[..., Shop]

WIX = """handleId,fieldType,name,description,productImageUrl,collection,sku,price,surcharge,visible,discountMode,discountValue,inventory,productOptionName1,productOptionDescription1
p1,Product,Linen Shirt,<p>Cool</p>,https://x.example/a.jpg;https://x.example/b.jpg,Shirts;Summer,LS,40,,true,PERCENT,25,InStock,Size,S;L
p1,Variant,,,,,LS-S,,0,true,,,5,Size,S
p1,Variant,,,,,LS-L,,5,true,,,0,Size,L
p2,Product,Secret,,,Shirts,SEC,10,,false,PERCENT,0,InStock,,
"""
BIGCOMMERCE = """Item Type,Product ID,Product Name,Product Code/SKU,Price,Retail Price,Sale Price,Product Visible?,Current Stock Level,Track Inventory,Category,Allow Purchases?
Product,77,Linen Shirt,LS,40,0,30,Y,9,by option,Shop All;Shirts,Y
"  SKU",,[S]Size=S,LS-S,,,,,5,,,
"  SKU",,[S]Size=L,LS-L,45,,,,0,,,
"  Rule",,[S]Size=L,,[ADD]5,,,,,,,
Product,78,Secret,SEC,10,0,0,N,9,by product,Shirts,Y
Product,79,Card,CARD,3,0,0,Y,0,none,Cards,Y
"""
BIGCOMMERCE_3 = """Item,ID,Name,SKU,Options,Inventory Tracking,Current Stock,Price,Retail Price,Sale Price,Categories,Is Visible,Image URL (Import)
Product,111,Linen Shirt,LS,,variant,5,40,0,30,Shirts,TRUE,
Variant,96,,LS-S,Type=Rectangle|Name=Size|Value=S,,5,0,,,,,
Variant,97,,LS-L,Type=Rectangle|Name=Size|Value=L,,0,45,,,,,
Image,265,,,,,,,,,,,https://x.example/a.jpg
Product,112,Secret,SEC,,product,3,10,0,0,Shirts,FALSE,
Product,113,Card,CARD,,none,0,3,0,0,Cards,TRUE,
"""
SQUARESPACE = """Product ID [Non Editable],Variant ID [Non Editable],Product URL,Title,SKU,Option Name 1,Option Value 1,Price,Sale Price,On Sale,Stock,Categories,Visible
5f1,v1,linen-shirt,Linen Shirt,LS-S,Size,S,40,30,Yes,5,/shirts,Yes
,v2,,,LS-L,Size,L,45,30,No,0,,
5f2,v3,secret,Secret,SEC,,,10,0,No,3,/shirts,No
5f3,v4,card,Card,CARD,,,3,0,No,Unlimited,/cards,Yes
"""
ECWID = """type,product_internal_id,product_sku,product_name,product_price,product_compare_to_price,product_is_inventory_tracked,product_quantity,product_is_available,product_category_1,product_variation_sku,product_variation_option_Size
product,901,LS,Linen Shirt,30,40,true,8,true,Shirts,,
product_variation,901,,,,,true,5,,,LS-S,S
product_variation,901,,,35,45,true,0,,,LS-L,L
product,902,SEC,Secret,10,,true,8,false,Shirts,,
product,903,CARD,Card,3,,false,0,true,Cards,,
"""
LIGHTSPEED = """Internal_ID;Visible;Brand;US_Title_Short;NL_Title_Short;Internal_Variant_ID;US_Variant_Title;Price;Price_Old;Stock_Track;Stock_Disable_Sold_Out;Stock_Level;SKU;Categories
100;Y;Acme;Linen Shirt;Linnen hemd;201;S;30;40;Y;Y;5;LS-S;Shirts
100;Y;Acme;Linen Shirt;Linnen hemd;202;L;35;45;Y;Y;0;LS-L;Shirts
101;N;Acme;Secret;Geheim;203;Default;10;0;Y;Y;4;SEC;Shirts
103;Y;Acme;Card;Kaart;205;Default;3;0;N;N;0;CARD;Cards
"""


@pytest.mark.parametrize(
    ("system", "text"),
    [
        ("Wix", WIX),
        ("BigCommerce", BIGCOMMERCE),
        ("BigCommerce", BIGCOMMERCE_3),
        ("Squarespace", SQUARESPACE),
        ("Ecwid", ECWID),
        ("Lightspeed", LIGHTSPEED),
    ],
)
def test_variants_are_sold_with_what_their_product_says(
    system: str, text: str, new_shop: NewShop, tmp_path: Path
) -> None:
    report, products = load(new_shop(), tmp_path, text)
    assert report.facts["format"] == system
    small, large = products["LS-S"], products["LS-L"]
    assert (small.title, large.title) == ("Linen Shirt S", "Linen Shirt L")
    assert small.item_group_id == large.item_group_id != ""
    assert small.product_type.lower() == large.product_type.lower() == "shirts"
    assert (small.availability, large.availability) == ("in_stock", "out_of_stock")
    seen = small.offered(now())
    assert seen is not None
    assert (seen.price, seen.original_price) == (30, 40)
    assert large.price == 45
    hidden = [one for one in products.values() if one.title == "Secret"]
    assert [str(one.status) for one in hidden] == ["hidden"]
    assert all(one.title and one.title != "Linen Shirt" for one in products.values())
    for one in products.values():
        if one.title == "Card":  # stock is not counted, so it sells
            assert one.availability == "in_stock"


def test_not_on_sale_is_not_on_sale(new_shop: NewShop, tmp_path: Path) -> None:
    assert load(new_shop(), tmp_path, SQUARESPACE)[1]["LS-L"].sale_price is None


def test_a_photo_of_a_row_of_its_own(new_shop: NewShop, tmp_path: Path) -> None:
    assert load(new_shop(), tmp_path, BIGCOMMERCE_3)[1]["LS-S"].image_link == "https://x.example/a.jpg"


def test_one_sku_for_all_variants_loses_none(new_shop: NewShop, tmp_path: Path) -> None:
    _, products = load(new_shop(), tmp_path, WIX.replace("LS-L", "LS-S"))
    assert {one.title for one in products.values()} == {"Linen Shirt S", "Linen Shirt L", "Secret"}


def test_headless_shops(new_shop: NewShop, tmp_path: Path) -> None:
    def cents(amount: int) -> list[object]:
        return [{"value": {"currencyCode": "EUR", "centAmount": amount, "fractionDigits": 2}}]

    tools = {
        "name": {"en": "Blue Tee", "de": "Blaues T-Shirt"},
        "masterVariant": {"id": 1, "sku": "TEE-S", "prices": cents(1999), "availability": {"isOnStock": True}},
        "variants": [{"id": 2, "sku": "TEE-L", "prices": cents(2199), "availability": {"isOnStock": False}}],
    }
    secret = {"name": {"en": "Secret"}, "masterVariant": {"id": 1, "sku": "SEC", "prices": cents(999)}, "variants": []}
    answer = {
        "results": [
            {"id": "c1", "masterData": {"published": True, "current": tools}},
            {"id": "c2", "masterData": {"published": False, "current": secret}},
        ]
    }
    _, products = load(new_shop(), tmp_path, json.dumps(answer), "f.json")
    assert [(p.title, p.price, p.availability, p.status) for p in products.values()] == [
        ("Blue Tee", 19.99, "in_stock", "active"),
        ("Blue Tee", 21.99, "out_of_stock", "active"),
        ("Secret", 9.99, "in_stock", "hidden"),
    ]
    medusa = {
        "products": [
            {"id": "1", "title": "Tee", "status": "published", "handle": "tee", "variants": [{"sku": "T", "prices": [{"currency_code": "eur", "amount": 10}]}]},
            {"id": "2", "title": "Draft", "status": "proposed", "variants": [{"sku": "D", "prices": [{"currency_code": "eur", "amount": 9}]}]},
        ]
    }  # fmt: skip
    _, products = load(new_shop(), tmp_path, json.dumps(medusa), "f.json")
    assert [(p.title, p.price, p.status) for p in products.values()] == [("Tee", 10, "active"), ("Draft", 9, "draft")]

    def gross(amount: float) -> dict[str, object]:
        return {"price": {"gross": {"amount": amount, "currency": "USD"}}}

    saleor = {
        "data": {
            "products": {
                "edges": [
                    {"node": {"id": "a", "name": "Mug", "variants": [{"sku": "M1", "name": "Red", "pricing": gross(12.5)}]}},
                    {"node": {"id": "b", "name": "Secret", "visibleInListings": False, "variants": []}},
                ]
            }
        }
    }  # fmt: skip
    _, products = load(new_shop(), tmp_path, json.dumps(saleor), "f.json")
    assert [(p.title, p.price, p.status) for p in products.values()] == [
        ("Mug Red", 12.5, "active"),
        ("Secret", None, "hidden"),
    ]


def test_products_begin_and_end_by_themselves(new_shop: NewShop, tmp_path: Path) -> None:
    shop, moment = new_shop(), now()
    soon, later = moment + timedelta(seconds=30), moment + timedelta(days=2)
    report, _ = load(
        shop,
        tmp_path,
        f"id,title,available_on,unpublish_date,deleted_at\n1,Always,,,\n2,Ends,,{soon.isoformat()},\n3,Begins,{soon.isoformat()},,\n"
        "4,Deleted,,,2026-01-02 10:00:00\n5,Zeros,0000-00-00,,0000-00-00 00:00:00\n6,Over,2020-01-01,2021-01-01,\n7,Unclear,some day,,\n",
    )
    assert _shown(shop, moment) == {"1", "2", "5", "7"}
    assert {one.kind: one.count for one in report.issues} == {"ended": 2, "not_begun": 1, "unreadable_shown": 1}
    assert _shown(shop, later) == {"1", "3", "5", "7"}
    shop.store.turn_sales(moment)
    assert shop.store.turn_sales(later) == 2  # so that every process follows
    load(shop, tmp_path, "id,title\n2,Ends\n")  # a file without the column changes nothing of it
    assert "2" not in _shown(shop, later)


def _shown(shop: Shop, moment: datetime) -> set[str]:
    products = shop.store.products(shop.store.product_ids())
    return {name for name, one in products.items() if one.offered(moment) is not None}


@pytest.mark.parametrize(
    "window",
    [
        "2026-11-01T08:00-0800/2026-11-03T08:00-0800",
        "2026-11-01 17:00 Europe/Berlin / 2026-11-03 17:00 Europe/Berlin",
        "01.11.2026 16:00 - 03.11.2026 16:00",
        "2026-11-01T21:30:00+05:30 to 2026-11-03T21:30:00+05:30",
    ],
)
def test_sale_windows_however_written(window: str, new_shop: NewShop, tmp_path: Path) -> None:
    text = f"id,title,price,sale_price,sale_price_effective_date\n1,Kite,10,8,{window}\n"
    kite = load(new_shop(), tmp_path, text)[1]["1"]
    assert kite.sale_start is not None
    assert kite.sale_end is not None
    assert (kite.sale_start.isoformat(), kite.sale_end.isoformat()) == (
        "2026-11-01T16:00:00+00:00",
        "2026-11-03T16:00:00+00:00",
    )


def test_lines_that_are_no_products(new_shop: NewShop, tmp_path: Path) -> None:
    report, products = load(new_shop(), tmp_path, "sku,name,price,qty\nA,Lamp,10,4\nTotal,,10,4\nexported by Ann\n")
    assert list(products) == ["A"]
    assert {one.kind: one.count for one in report.issues} == {"no_product_row": 2}


def test_quotes_of_texts_with_tabs(new_shop: NewShop, tmp_path: Path) -> None:
    text = 'id\ttitle\tlink\n1\t"Big" cup\thttps://x.example/1\n2\t27" screen\thttps://x.example/2\n3\t"A\tb"\thttps://x.example/3\n'
    _, products = load(new_shop(), tmp_path, text, "f.tsv")
    assert [one.title for one in products.values()] == ['"Big" cup', '27" screen', "A b"]


def test_amounts_of_a_thousand_and_stock_in_words(new_shop: NewShop, tmp_path: Path) -> None:
    wix = (
        'handleId,fieldType,name,sku,price,visible,discountMode,discountValue,inventory\np1,Product,Sofa,S,"1,299",true,PERCENT,10,"1,200"\n'
        'p2,Product,Bed,B,"$1,299.50",true,AMOUNT,"1,000",OutOfStock\np3,Product,Desk,D,"1.299,00 €",true,,,nur auf Anfrage\n'
    )
    report, products = load(new_shop(currency="USD"), tmp_path, wix)
    assert [(p.price, p.sale_price, str(p.availability)) for p in products.values()] == [
        (1299, 1169.1, "in_stock"),
        (1299.5, 299.5, "out_of_stock"),
        (1299, None, "unknown"),
    ]
    assert "nur auf Anfrage" in report.to_markdown()
