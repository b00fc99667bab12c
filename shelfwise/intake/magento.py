"""Magento's and Adobe Commerce's product export, and Magento 1's: configurable products with variants, store views.

A simple product of a configurable one is a variant, whatever its own visibility; a row of a store view says the same
product in another language and is joined to the row of all views.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet, roles

NAMES = {
    "sku": "sku",
    "store": "store_view_code|_store",
    "type": "product_type|_type",
    "categories": "categories|_category",
    "root": "_root_category",
    "title": "name",
    "description": "description",
    "short": "short_description",
    "online": "product_online|status",
    "visibility": "visibility",
    "price": "price",
    "sale_price": "special_price",
    "sale_start": "special_price_from_date|special_from_date",
    "sale_end": "special_price_to_date|special_to_date",
    "link": "url_key",
    "image": "base_image|image",
    "small": "small_image",
    "created": "created_at",
    "extra": "additional_attributes",
    "qty": "qty",
    "in_stock": "is_in_stock",
    "backorders": "allow_backorders|backorders",
    "manage": "manage_stock",
    "images": "additional_images",
    "variations": "configurable_variations",
    "super": "_super_products_sku",
    "brand": "manufacturer|brand",
}
_VISIBILITY = {"1": "not visible individually", "2": "catalog", "3": "search", "4": "catalog, search"}
_KEPT_PARENTS = re.compile(r"(?:^|\|)\s*sku=([^,|]+)")
_BOOKKEEPING = re.compile(
    r"website|attribute_set|tax_class|meta_|url_path|^_|thumbnail|swatch|label|page_layout|design|^use_config|min_cart|"
    r"max_cart|notify_on|qty_increments|enable_qty|is_qty|is_decimal|website_id|_skus|_position|bundle_|hide_from|"
    r"custom_|display_product|msrp|map_|gift_message|updated_at|new_|weight_type|deferred|out_of_stock_qty|use_config|"
    r"min_qty|max_sale|min_sale|options_container|has_options|required_options|price_type|price_view"
)


def is_export(header: Iterable[str]) -> bool:
    columns = roles(header, NAMES)
    own = {"store", "type", "online", "visibility", "extra", "variations", "in_stock", "qty"} & columns.keys()
    return "sku" in columns and "store" in columns and len(own) >= 3


def rows(sheet: Sheet) -> Rows:
    base: dict[str, Row] = {}  # sku → its row of all views, with what only other views have
    lines: dict[str, int] = {}
    group_of: dict[str, str] = {}
    whole: set[str] = set()  # whose row of all views was read
    sku = ""
    for line, row in sheet.rows():
        own = sheet.text(row, "sku")
        if not own and not sku:
            yield line, {"id": "", "title": sheet.text(row, "title")}, row
            continue
        product = base.setdefault(own or sku, {})
        if own and own not in whole and not sheet.text(row, "store"):
            base[own] = product | {name: value for name, value in row.items() if str(value or "").strip()}
            whole.add(own)
            lines[own] = line
        elif own or sku:  # a store view, or further values of the row before
            lines.setdefault(own or sku, line)
            for name, value in row.items():
                if not str(product.get(name) or "").strip():
                    product[name] = value
            why = "a row of another store view or of further values; joined to its product"
            sheet.findings.add("joined_view", "joined", why, [(line, own or sku)])
        sku = own or sku
        for child in _KEPT_PARENTS.findall(sheet.text(row, "variations")) or [sheet.text(row, "super")]:
            if child.strip():
                group_of[child.strip()] = sku
    sold = {group for child, group in group_of.items() if child in base}
    for sku, row in base.items():
        if sku in sold and sku not in group_of:
            why = "a parent whose variants are sold; joined to them"
            sheet.findings.add("joined_parent", "joined", why, [(lines[sku], sku)])
            continue
        group = group_of.get(sku, "")
        yield lines[sku], _fields(sheet, sku, row, base.get(group) if group else None, group), row


def _fields(sheet: Sheet, sku: str, row: Row, parent: Row | None, group: str) -> Row:
    def inherited(role: str) -> str:
        return sheet.text(row, role) or ("" if parent is None else sheet.text(parent, role))

    fields: Row = {"id": sku}
    for field in ("title", "brand", "created"):
        if field in sheet:
            fields[field] = inherited(field)
    for field in ("price", "sale_price", "sale_start", "sale_end"):
        if field in sheet:
            fields[field] = sheet.text(row, field)
    if "description" in sheet or "short" in sheet:
        texts = dict.fromkeys(inherited(role) for role in ("short", "description"))
        fields["description"] = "\n".join(text for text in texts if text)
    if "categories" in sheet:
        fields["product_type"] = _category(inherited("categories"))
    if "image" in sheet:
        fields["image_link"] = _image(inherited("image") or inherited("small"))
        if others := [_image(link) for link in inherited("images").split(",") if link.strip()]:
            fields["additional_image_link"] = " | ".join(others)
    if "type" in sheet:
        fields["item_group_id"] = group
    if "online" in sheet:
        words = [sheet.text(one, "online") for one in (row, parent) if one is not None]
        fields["status"] = "disabled" if "2" in words or "0" in words else "enabled"
    if "visibility" in sheet:
        shown = sheet.text(row if parent is None else parent, "visibility")
        fields["visibility"] = _VISIBILITY.get(shown, shown)
    if "qty" in sheet or "in_stock" in sheet:
        fields["availability"] = _availability(sheet, row)
    for pair in re.split(r",(?=[\w ]+=)", inherited("extra")):
        name, equals, value = pair.partition("=")
        if equals and name.strip() and value.strip() and value.strip() != "__EMPTY__VALUE__":
            fields.setdefault(name.strip(), value.strip())
    for column, value in sheet.rest(row).items():
        if not _BOOKKEEPING.search(column):
            fields.setdefault(column, value)
    return fields


def _category(text: str) -> str:
    """The deepest path, without the root that every shop has ("Default Category/Gear/Bags")."""
    paths = [path.strip().strip("/").split("/") for path in re.split(r"(?<!\\),", text) if path.strip()]
    if not paths:
        return ""
    deepest = max(paths, key=len)
    root = {"default category", "root catalog"}
    return " > ".join(level.strip() for level in deepest if level.strip().casefold() not in root)


def _image(link: str) -> str:
    link = link.strip()
    return "" if link in ("no_selection", "") else link if "://" in link else f"catalog/product/{link.lstrip('/')}"


def _availability(sheet: Sheet, row: Row) -> str:
    try:
        quantity = float(sheet.text(row, "qty") or "nan")
    except ValueError:
        quantity = float("nan")
    if sheet.text(row, "manage") == "0":
        return "in stock"
    allowed = sheet.text(row, "backorders") not in ("", "0")
    there = sheet.text(row, "in_stock")
    if there == "0":
        return "out of stock"
    if quantity <= 0:
        return "backorder" if allowed else "out of stock" if there != "1" else "in stock"
    return "in stock"
