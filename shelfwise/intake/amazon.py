"""Amazon's flat files (inventory templates, three rows of headings) and its listings reports."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet, joined, roles

NAMES = {
    "sku": "item_sku|seller-sku|seller_sku|contribution_sku",
    "title": "item_name|item-name|title",
    "description": "product_description|item-description",
    "brand": "brand_name|brand",
    "maker": "manufacturer",
    "type": "feed_product_type|product_type",
    "node": "item_type|item_type_keyword|item_type_name|generic_keywords_category",
    "price": "standard_price|price|purchasable_offer#1.our_price",
    "list": "list_price|list_price_with_tax",
    "sale_price": "sale_price",
    "sale_start": "sale_from_date",
    "sale_end": "sale_end_date|sale_through_date",
    "quantity": "quantity|fulfillment_availability#1.quantity",
    "channel": "fulfillment_center_id|fulfillment-channel|fulfillment_availability#1.fulfillment_channel_code",
    "image": "main_image_url|main_product_image_locator#1.media_location|main_product_image_locator|image-url",
    "gtin": "external_product_id|product-id",
    "gtin_kind": "external_product_id_type|product-id-type",
    "mpn": "part_number",
    "child": "parent_child|parentage_level|parentage",
    "parent": "parent_sku|child_parent_sku_relationship.parent_sku|child_parent_sku_relationship#1.parent_sku",
    "deleted": "update_delete|record_action|::record_action",
    "status": "status",
    "created": "product_site_launch_date|open-date",
}
_IMAGE = re.compile(r"^other_image_url(\d+)?$")
_BULLET = re.compile(r"^bullet_point[#\d]*")
_BOOKKEEPING = re.compile(
    r"^(?:update_delete|relationship_type|variation_theme|fulfillment|item-is|zshop|item-note|listing-id|expedited|"
    r"will-ship|bid-for|pending|add-delete|merchant[-_]|condition_type|swatch_image|website_shipping|currency_code_|asin\d)"
)
_BARCODES = ("ean", "upc", "gtin", "isbn", "3", "4", "")


def is_export(header: Iterable[str]) -> bool:
    columns = roles(header, NAMES)
    return {"sku", "title"} <= columns.keys() and len(columns) >= 4


def rows(sheet: Sheet) -> Rows:
    def name_of(row: Row) -> str:
        return sheet.text(row, "sku")

    def parent_of(row: Row) -> str:
        return "" if sheet.text(row, "child").casefold() == "parent" else sheet.text(row, "parent")

    def made(row: Row, parent: Row | None, group: str) -> Row:
        return _fields(sheet, row, parent, group)

    yield from joined(sheet, name_of, parent_of, made)


def _fields(sheet: Sheet, row: Row, parent: Row | None, group: str) -> Row:
    def inherited(role: str) -> str:
        return sheet.text(row, role) or ("" if parent is None else sheet.text(parent, role))

    fields: Row = {"id": sheet.text(row, "sku"), "title": inherited("title")}
    bullets = [str(row.get(name) or (parent or {}).get(name) or "") for name in sheet.header if _BULLET.match(name)]
    if "description" in sheet or bullets:
        fields["description"] = "\n".join(text for text in (inherited("description"), *bullets) if text.strip())
    if "brand" in sheet or "maker" in sheet:
        fields["brand"] = inherited("brand") or inherited("maker")
    if "node" in sheet or "type" in sheet:
        fields["product_type"] = (inherited("node") or inherited("type")).replace("_", " ")
    for field in ("price", "sale_price", "sale_start", "sale_end", "created", "mpn", "status"):
        if field in sheet:
            fields[field] = sheet.text(row, field)
    if "list" in sheet:
        fields["original_price"] = sheet.text(row, "list")
    if "parent" in sheet:
        fields["item_group_id"] = group
    if "gtin" in sheet and sheet.text(row, "gtin_kind").casefold() in _BARCODES:
        fields["gtin"] = sheet.text(row, "gtin")
    if "image" in sheet:
        fields["image_link"] = inherited("image")
        others = [str(row.get(name) or "").strip() for name in sheet.header if _IMAGE.match(name)]
        if any(others):
            fields["additional_image_link"] = " | ".join(link for link in others if link)
    if "quantity" in sheet:
        # What Amazon itself keeps in store is counted by nobody here.
        elsewhere = sheet.text(row, "channel").upper().startswith("AMAZON")
        fields["availability"] = (
            "in stock" if elsewhere and not sheet.text(row, "quantity") else sheet.text(row, "quantity")
        )
    if sheet.text(row, "child").casefold() == "parent":  # whose variants are not in the file: nobody can buy it
        fields["visibility"] = "hidden"
    if "deleted" in sheet:
        fields["deleted"] = "yes" if sheet.text(row, "deleted").casefold() == "delete" else ""
    for column, value in sheet.rest(row).items():
        if not (_BOOKKEEPING.match(column) or _BULLET.match(column) or _IMAGE.match(column)):
            fields.setdefault(column, value)
    return fields
