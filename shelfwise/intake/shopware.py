"""Shopware 6's default product export (variants by `parent_id`) and Shopware 5's article export (by `mainnumber`)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet, joined, roles

NAMES = {
    "id": "id",
    "parent": "parent_id|parentId",
    "number": "product_number|productNumber|ordernumber",
    "main": "mainnumber",
    "active": "active",
    "stock": "stock|instock",
    "closeout": "is_closeout|isCloseout|laststock",
    "title": "name|translations.DEFAULT.name",
    "extra_title": "additionalText",
    "description": "description|translations.DEFAULT.description|description_long",
    "price": "price_gross|price.DEFAULT.gross|price_EK|prices_EK",
    "net": "price_net|price.DEFAULT.net",
    "list": "list_price_gross|price.DEFAULT.listPrice.gross|pseudoprice_EK|pseudoprices_EK",
    "image": "cover_media_url|cover.media.url|cover",
    "brand": "manufacturer_name|manufacturer.translations.DEFAULT.name|supplier",
    "categories": "categories|category|categorypath",
    "channel": "sales_channel|visibilities.all",
    "gtin": "ean",
    "mpn": "manufacturer_number|manufacturerNumber|suppliernumber",
    "created": "release_date|releaseDate|releasedate|added",
    "options": "options|optionIds|configuratorOptions",
}
_ID = re.compile(r"[0-9a-f]{32}")
_BOOKKEEPING = re.compile(
    r"^tax|purchase|cover|manufacturer_id|properties|propertyid|^from_|^to_|baseprice|^attr\d|unit|pricegroup|id$",
    re.IGNORECASE,
)


def is_export(header: Iterable[str]) -> bool:
    columns = roles(header, NAMES)
    six = {"id", "parent", "number", "active"} <= columns.keys()
    five = {"number", "main", "active", "title"} <= columns.keys()
    return (six or five) and "stock" in columns


def rows(sheet: Sheet) -> Rows:
    if "main" in sheet:
        counts: dict[str, int] = {}
        for _, row in sheet.rows():
            main = sheet.text(row, "main")
            counts[main] = counts.get(main, 0) + 1
        for line, row in sheet.rows():
            main = sheet.text(row, "main")
            yield line, _fields(sheet, row, None, main if counts[main] > 1 else ""), row
        return
    numbers = {sheet.text(row, "id"): sheet.text(row, "number") for _, row in sheet.rows()}

    def made(row: Row, parent: Row | None, group: str) -> Row:
        return _fields(sheet, row, parent, numbers.get(group, "") or group)

    yield from joined(sheet, lambda row: sheet.text(row, "id"), lambda row: sheet.text(row, "parent"), made)


def _fields(sheet: Sheet, row: Row, parent: Row | None, group: str) -> Row:
    def inherited(role: str) -> str:
        return sheet.text(row, role) or ("" if parent is None else sheet.text(parent, role))

    fields: Row = {"id": sheet.text(row, "number") or sheet.text(row, "id"), "item_group_id": group}
    if "title" in sheet:
        options = sheet.text(row, "options") if re.search(r"[^\W\d]", sheet.text(row, "options")) else ""
        extra = sheet.text(row, "extra_title") or (_options(options) if parent is not None else "")
        title = inherited("title")
        fields["title"] = f"{title} {extra}".strip() if extra and extra not in title else title
    for field in ("description", "brand", "gtin", "mpn", "created"):
        if field in sheet:
            fields[field] = inherited(field)
    if "price" in sheet or "net" in sheet:
        fields["price"] = inherited("price") or inherited("net")
    if "list" in sheet:
        fields["original_price"] = inherited("list")
    if "image" in sheet:
        fields["image_link"] = inherited("image")
    if "categories" in sheet:
        first = re.split(r"[|;]", inherited("categories"))[0].strip()
        fields["product_type"] = "" if _ID.fullmatch(first) else first
    if "active" in sheet:
        words = [sheet.text(one, "active") for one in (row, parent) if one is not None]
        fields["active"] = next((word for word in words if word in ("0", "false", "False")), words[0] or words[-1])
    if "channel" in sheet and not inherited("channel"):
        fields["visibility"] = "hidden"  # sold in no channel
    if "stock" in sheet:
        fields["availability"] = _availability(sheet, row, inherited("closeout"))
    for column, value in sheet.rest(row).items():
        if not _BOOKKEEPING.search(column):
            fields.setdefault(column, value)
    return fields


def _options(text: str) -> str:
    """'color: red|size: M' → 'red M'; ids of options say nothing to a shopper."""
    parts = (part.rpartition(":")[2].strip() for part in re.split(r"[|,]", text))
    return " ".join(part for part in parts if part and not _ID.fullmatch(part))


def _availability(sheet: Sheet, row: Row, closeout: str) -> str:
    """Without closeout a product sells on when its stock is gone."""
    stock = sheet.text(row, "stock")
    try:
        empty = bool(stock) and float(stock.replace(",", ".")) <= 0
    except ValueError:
        return stock
    if not empty:
        return "in stock"
    return "backorder" if "closeout" in sheet and closeout in ("0", "false", "False", "") else "out of stock"
