# ruff: noqa: E501 (the tables of headings are wide)
"""Products as the APIs of shop systems answer them → rows as the same system's export has them.

Shopify (REST, storefront, GraphQL), WooCommerce's and Magento's REST. What else nests its products (variants, prices with
currency, lists of images, attributes by name and value) is laid flat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from shelfwise.intake.headless import unwrapped
from shelfwise.intake.mapping import plain_name
from shelfwise.intake.reading import Row, value_text


def system_of(first: Iterable[Row]) -> str:
    """The key in exports.EXPORTS of the system whose API answered with these records, "" for none."""
    for record in first:
        names = {plain_name(name) for name in record}
        if "variants" in names and "handle" in names:
            return "shopify"
        if "regular_price" in names and names & {"catalog_visibility", "stock_status"}:
            return "woocommerce"
        if {"sku", "type_id"} <= names and names & {"custom_attributes", "visibility"}:
            return "magento"
    return ""


@dataclass(slots=True)
class Answers:
    """Such records as rows under an export's headings; read anew each time. header: after the first time."""

    source: Callable[[], Iterator[tuple[int, Row]]]
    system: str
    header: dict[str, None] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[int, Row]]:
        made = _MADE[self.system]
        children: dict[str, str] = {}
        if self.system == "magento":
            children = {value_text(r.get("id")): value_text(r.get("sku")) for _, r in self._records() if r.get("id")}
        for line, record in self._records():
            for row in made(record, children):
                self.header |= dict.fromkeys(row)
                yield line, row

    def _records(self) -> Iterator[tuple[int, Row]]:
        for line, record in self.source():
            yield line, {plain_name(name): value for name, value in record.items()}


def _shopify(record: Row, _: Mapping[str, str]) -> Iterator[Row]:
    text = _texts(record)
    variants = [{plain_name(name): value for name, value in one.items()} for one in nodes(record.get("variants"))]
    photos = [link for one in nodes(record.get("images") or record.get("media")) if (link := link_of(one))]
    if not photos and (link := link_of(record.get("image") or record.get("featured_image"))):
        photos = [link]
    names = [value_text(one.get("name")) for one in nodes(record.get("options"))]
    tags = record.get("tags")
    whole: Row = {
        "Handle": text("handle", "id"),
        "Title": text("title"),
        "Body (HTML)": text("body_html", "description_html", "description"),
        "Vendor": text("vendor"),
        "Type": text("product_type") or named(record.get("category")),
        "Tags": ", ".join(map(value_text, tags)) if isinstance(tags, list) else text("tags"),
    }
    if "status" in record:
        whole["Status"] = text("status").lower()
    for name in ("published_at", "online_store_url"):  # null: in no shop window
        if name in record and "Published" not in whole:
            whole["Published"] = "true" if record[name] else "false"
    for at, variant in enumerate(variants or [{}]):
        said = _texts(variant)
        row = dict(whole)
        chosen = nodes(variant.get("selected_options"))
        for n in (1, 2, 3):
            name = names[n - 1] if len(names) >= n else ""
            value = said(f"option{n}")
            if len(chosen) >= n:
                name, value = value_text(chosen[n - 1].get("name")), value_text(chosen[n - 1].get("value"))
            row |= {f"Option{n} Name": name, f"Option{n} Value": value}
        row |= {
            "Variant SKU": said("sku") or said("id").rsplit("/", 1)[-1],
            "Variant Price": money_of(variant.get("price") or variant.get("prices")),
            "Variant Compare At Price": money_of(variant.get("compare_at_price")),
            "Variant Barcode": said("barcode"),
            "Image Src": photos[at] if at < len(photos) else "",
            "Image Position": str(at + 1) if at < len(photos) else "",
            "Variant Image": link_of(variant.get("image") or variant.get("featured_image")),
        }
        if "inventory_quantity" in variant:
            item = variant.get("inventory_item")
            tracked = variant.get("inventory_management", item.get("tracked", True) if isinstance(item, dict) else True)
            tracked = variant.get("manage_inventory", tracked)  # Medusa's
            row |= {
                "Variant Inventory Qty": said("inventory_quantity"),
                "Variant Inventory Policy": said("inventory_policy", "allow_backorder").lower(),
                "Variant Inventory Tracker": "shopify" if tracked else "",
            }
        elif isinstance(there := variant.get("available", variant.get("available_for_sale")), bool):
            row |= {"Variant Inventory Qty": "1" if there else "0", "Variant Inventory Policy": "deny"}
        yield row
    for at in range(max(len(variants), 1), len(photos)):
        yield {"Handle": whole["Handle"], "Image Src": photos[at], "Image Position": str(at + 1)}


_WOO_STATUS = {"publish": "1", "draft": "-1", "pending": "-1", "future": "-1", "auto-draft": "-1"}
_WOO = {
    "ID": "id", "SKU": "sku", "Name": "name", "Visibility in catalog": "catalog_visibility", "GTIN, UPC, EAN, or ISBN": "global_unique_id",
    "Short description": "short_description", "Description": "description", "Sale price": "sale_price", "Stock": "stock_quantity",
    "Date sale price starts": "date_on_sale_from", "Date sale price ends": "date_on_sale_to", "Backorders allowed?": "backorders",
}  # fmt: skip


def _woocommerce(record: Row, _: Mapping[str, str]) -> Iterator[Row]:
    text = _texts(record)
    row: Row = {heading: text(name) for heading, name in _WOO.items() if name in record}
    parent = text("parent_id")
    varies = parent not in ("", "0")
    row["Type"] = text("type") or ("variation" if varies else "simple")
    row["Regular price"] = text("regular_price") or text("price")
    if "status" in record:
        row["Published"] = _WOO_STATUS.get(text("status"), "0")
    if "stock_status" in record:
        row["In stock?"] = {"instock": "1", "outofstock": "0", "onbackorder": "backorder"}.get(
            text("stock_status"), text("stock_status")
        )
    row["Parent"] = f"id:{parent}" if varies else ""
    row["Categories"] = ", ".join(
        value_text(one.get("name")).replace(",", "\\,") for one in nodes(record.get("categories"))
    )
    row["Tags"] = ", ".join(value_text(one.get("name")) for one in nodes(record.get("tags")))
    row["Brands"] = next((value_text(one.get("name")) for one in nodes(record.get("brands"))), "")
    images = nodes(record.get("images")) or nodes([record["image"]] if record.get("image") else [])
    row["Images"] = ", ".join(link for one in images if (link := link_of(one)))
    for n, one in enumerate(nodes(record.get("attributes")), 1):
        values = one.get("options") if isinstance(one.get("options"), list) else [one.get("option")]
        row[f"Attribute {n} name"] = value_text(one.get("name"))
        row[f"Attribute {n} value(s)"] = ", ".join(value_text(v).replace(",", "\\,") for v in values or [] if v)
    yield row


_MAGENTO = {
    "sku": "sku", "name": "name", "product_type": "type_id", "visibility": "visibility", "price": "price", "created_at": "created_at",
}  # fmt: skip


def _magento(record: Row, children: Mapping[str, str]) -> Iterator[Row]:
    text = _texts(record)
    row: Row = {heading: text(name) for heading, name in _MAGENTO.items() if name in record}
    row["store_view_code"] = ""
    if "status" in record:
        row["product_online"] = text("status")
    more = record.get("extension_attributes")
    more = more if isinstance(more, dict) else {}
    stock = more.get("stock_item")
    if isinstance(stock, dict):
        row |= {"qty": value_text(stock.get("qty")), "is_in_stock": "1" if stock.get("is_in_stock") else "0"}
        row |= {"allow_backorders": value_text(stock.get("backorders") or 0)}
        if stock.get("manage_stock") is False:
            row["manage_stock"] = "0"
    links = more.get("configurable_product_links")
    skus = [children[name] for one in links if (name := value_text(one)) in children] if isinstance(links, list) else []
    row["configurable_variations"] = "|".join(f"sku={sku}" for sku in skus)
    photos = [value_text(one.get("file")) for one in nodes(record.get("media_gallery_entries"))]
    if any(photos):
        row |= {"base_image": photos[0], "additional_images": ",".join(photos[1:])}
    for one in nodes(record.get("custom_attributes")):
        name, value = value_text(one.get("attribute_code")), one.get("value")
        if name and not isinstance(value, dict | list):
            row.setdefault({"image": "base_image"}.get(name, name), value_text(value))
    yield row


_MADE: dict[str, Callable[[Row, Mapping[str, str]], Iterator[Row]]] = {
    "shopify": _shopify,
    "woocommerce": _woocommerce,
    "magento": _magento,
}


# Products of any other system


_VARIANTS = ("variants", "skus", "variations", "children", "combinations", "offers")
_IDS = ("sku", "id", "variant_id", "item_id", "code", "product_id")
_PRICES = ("price", "sale_price", "original_price", "regular_price", "list_price", "compare_at_price", "special_price")
_IMAGES = ("images", "image", "media", "photos", "pictures", "featured_image", "main_image", "image_link", "thumbnail")
_NAMED = ("brand", "vendor", "manufacturer", "supplier", "category", "categories", "product_type")
_PAIRS = (
    "attributes",
    "custom_attributes",
    "features",
    "specifications",
    "specs",
    "properties",
    "options",
    "custom_fields",
)
_TEXTS = ("title", "name", "description", "short_description", "long_description", "link", "url", "brand")
NESTS = frozenset((*_VARIANTS, *_IMAGES, *_PAIRS, *_NAMED))  # what may hold lists or objects, also in a table's cells
_STOCK = ("stock", "inventory", "stock_item", "quantity", "availability")


def flat(record: Row) -> Iterator[Row]:
    """The record, or each of its variants with what it has of the whole; nested values as texts and columns."""
    record = unwrapped(record)
    inner = record.get("attributes")  # JSON:API
    if isinstance(inner, dict) and inner.keys() & {"name", "title"} and not record.keys() & {"name", "title"}:
        record = {**{name: value for name, value in record.items() if name not in ("attributes", "type")}, **inner}
    lists = [name for name in record if plain_name(name) in _VARIANTS and _are_variants(record[name])]
    if not lists:
        yield _laid(record)
        return
    whole = _laid({name: value for name, value in record.items() if name not in lists})
    key = next(
        (name for name in whole if plain_name(name) in ("id", "product_id", "sku", "code") and whole[name]), "id"
    )
    parent = value_text(whole.get(key))
    variants = nodes(record[lists[0]])
    for at, variant in enumerate(variants, 1):
        own = {name: value for name, value in _laid(variant).items() if value not in (None, "", [])}
        row = {name: value for name, value in whole.items() if name not in own}
        for name in list(row):
            if plain_name(name) in _IDS:
                del row[name]
        name_of = next((name for name in _IDS if own.get(name)), "")
        identity = value_text(own.pop(name_of)) if name_of else f"{parent}-{at}"
        for title in ("title", "name"):
            if own.get(title) and whole.get(title) and value_text(whole[title]) not in value_text(own[title]):
                own[title] = f"{value_text(whole[title])} {value_text(own[title])}"
        yield {**row, **own, key: identity, "item_group_id": parent if len(variants) > 1 else ""}


def _are_variants(value: object) -> bool:
    return bool(nodes(value)) and all(
        any(name in one for name in (*_IDS, "price", "size", "color")) for one in nodes(value)
    )


def _laid(record: Row) -> Row:
    row: Row = {}
    for name, value in record.items():
        plain = plain_name(name)
        if plain == "is_closeout" and isinstance(value, bool):  # Shopware: sold until nothing is left, or beyond
            row["backorders"] = "no" if value else "yes"
        elif plain == "offers" and (offer := _offer(value)):
            row |= {key: one for key, one in offer.items() if key not in record}
        elif value is None or isinstance(value, str | int | float):
            row.setdefault("quantity" if plain in ("stock", "inventory") and "quantity" not in record else name, value)
        elif plain in _PRICES:
            row[name] = money_of(value)
            if before := _list_price(value):
                row["list_price"] = before
        elif plain in _IMAGES:
            links = [link_of(one) for one in (value if isinstance(value, list) else [value])]
            row[name] = [link for link in links if link]
        elif plain in _PAIRS and (pairs := _pairs(value)):
            for key, said in pairs.items():
                row.setdefault(key, said)
        elif isinstance(value, dict) and plain in _STOCK:
            inside = {plain_name(key): one for key, one in value.items()}
            count = next(
                (inside[key] for key in ("quantity", "qty", "available", "count", "level", "stock") if key in inside),
                None,
            )
            if count is not None:
                row["quantity"] = "1" if count is True else "0" if count is False else value_text(count)
            elif "status" in inside:
                row["availability"] = value_text(inside["status"])
        elif plain in _NAMED and not (isinstance(value, list) and all(isinstance(one, str) for one in value)):
            row[name] = named(value)
        elif plain in _TEXTS and (texts := [value_text(one.get("value")) for one in nodes(value)]) and texts[0]:
            row[name] = texts[0]  # [{"id": 1, "value": "Cup"}, …]: PrestaShop's languages
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            row[name] = [text for one in value if (text := named(one))]
        elif (
            isinstance(value, dict)
            and (plain in _TEXTS or "value" in value or "rendered" in value)
            and (text := value_in(value))
        ):
            row[name] = text
        else:
            row[name] = value
    return row


def _offer(value: object) -> Row:
    """What schema.org's offer of a product says: its price with the currency, whether it is in stock."""
    offer = value if isinstance(value, dict) else next(iter(nodes(value)), {})
    price = offer.get("price", offer.get("lowPrice"))
    code = value_text(offer.get("priceCurrency"))
    said = {
        "price": f"{value_text(price)} {code}".strip() if price is not None else "",
        "availability": offer.get("availability"),
    }
    return {name: one for name, one in said.items() if one}


def _list_price(value: object) -> str:
    """Shopware's price before a reduction, which stands inside the price."""
    price = value if isinstance(value, dict) else next(iter(nodes(value)), {})
    return money_of(price.get("listPrice"))


def _pairs(value: object) -> dict[str, str]:
    """[{"name": "colour", "value": "red"}] → {"colour": "red"}."""
    pairs = {}
    for one in nodes(value):
        key = next(
            (
                value_text(one[k])
                for k in ("name", "key", "attribute_code", "attribute", "code", "label")
                if isinstance(one.get(k), str)
            ),
            "",
        )
        said = next(
            (one[k] for k in ("value", "option", "values", "options", "text") if one.get(k) not in (None, "")), None
        )
        if key and said is not None and not isinstance(said, dict):
            parts = said if isinstance(said, list) else [said]
            pairs[key] = " | ".join(named(part) if isinstance(part, dict) else value_text(part) for part in parts)
    return pairs


# Values


def nodes(value: object) -> list[dict[str, Any]]:
    """The objects of a list, or of GraphQL's edges."""
    if isinstance(value, dict):
        value = value.get("nodes") or value.get("edges") or []
    if not isinstance(value, list):
        return []
    return [one["node"] if isinstance(one.get("node"), dict) else one for one in value if isinstance(one, dict)]


def link_of(value: object) -> str:
    """An image's address, however it is wrapped."""
    if isinstance(value, dict):
        names = ("src", "url", "link", "href", "file", "original_src", "originalSrc", "image", "image_link", "large")
        return next((link for name in names if (link := link_of(value.get(name)))), "")
    return value.strip() if isinstance(value, str) else ""


def money_of(value: object) -> str:
    """{"amount": "5.00", "currencyCode": "EUR"} → '5.00 EUR'."""
    if isinstance(value, dict):
        amount = next(
            (value[k] for k in ("amount", "value", "gross", "price", "net") if value.get(k) is not None), None
        )
        code = next(
            (value[k] for k in ("currency", "currencyCode", "currency_code") if isinstance(value.get(k), str)), ""
        )
        return "" if amount is None or isinstance(amount, dict) else f"{value_text(amount)} {code}".strip()
    if isinstance(value, list):
        return money_of(value[0]) if value else ""
    return value_text(value)


def named(value: object) -> str:
    """What a category or a brand is called; of several the first."""
    if isinstance(value, list):
        return named(value[0]) if value else ""
    if isinstance(value, dict):
        for key in ("path", "full_name", "fullName", "name", "title", "label", "value", "slug"):
            if isinstance(name := value.get(key), str) and name:
                return name
        return ""
    return value_text(value)


def value_in(value: Mapping[str, object]) -> str:
    """Of {"en": "Pot", "de": "Kanne"} or {"value": "Pot"} the first text; "" for another object."""
    languages = all(len(key) in (2, 5) and key[:2].isalpha() and isinstance(said, str) for key, said in value.items())
    if languages or value.keys() == {"value"} or value.keys() == {"rendered"} or value.keys() == {"raw", "rendered"}:
        return next((value_text(said) for said in value.values() if said), "")
    return ""


def _texts(record: Mapping[str, object]) -> Callable[..., str]:
    """A reader of the first of some names that has a text."""

    def text(*names: str) -> str:
        for name in names:
            said = record.get(name)
            if isinstance(said, dict):
                said = value_in(said)
            if said not in (None, "") and not isinstance(said, list | dict):
                return value_text(said)
        return ""

    return text
