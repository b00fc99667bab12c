# ruff: noqa: E501 (the table of headings is wide)
"""Shopify's product CSV: rows of one Handle, wherever they stand, are one product's variants and photos."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from shelfwise.errors import UnreadableFile
from shelfwise.intake.mapping import plain_name
from shelfwise.intake.reading import Row
from shelfwise.intake.sheet import Rows, Sheet

_COLUMNS = frozenset({"handle", "title"})
_OTHER = frozenset(
    {"variant_price", "variant_sku", "variant_inventory_qty", "image_src", "body_(html)", "option1_name"}
)
#: Columns of the product as a whole: they stand in one of its rows.
_WHOLE = ("title", "body_(html)", "body_html", "vendor", "type", "product_category", "tags", "status", "published")
_SAID = ("variant_grams", *(f"google_shopping_{name}" for name in ("gender", "age_group", "condition", "mpn")))
_METAFIELD = re.compile(r"_\(product_metafields_\w+\)$")  # Material (product.metafields.custom.material)
NAMES: dict[str, str] = {}


#: What Shopify calls its columns since 2025 → what it called them before.
_NEWER = {
    "url_handle": "handle", "description": "body_(html)", "published_on_online_store": "published", "sku": "variant_sku",
    "barcode": "variant_barcode", "price": "variant_price", "compare_at_price": "variant_compare_at_price",
    "inventory_tracker": "variant_inventory_tracker", "inventory_quantity": "variant_inventory_qty",
    "continue_selling_when_out_of_stock": "variant_inventory_policy", "product_image_url": "image_src",
    "variant_image_url": "variant_image", "weight_value_(grams)": "variant_grams",
}  # fmt: skip


def _names(header: Iterable[str]) -> dict[str, str]:
    """Column → its name as Shopify's older exports have it."""
    names = {name: plain_name(name) for name in header}
    newer = "url_handle" in names.values()
    return {name: _NEWER.get(plain, plain) if newer else plain for name, plain in names.items()}


def is_export(header: Iterable[str]) -> bool:
    names = set(_names(header).values())
    return names >= _COLUMNS and bool(names & _OTHER)


@dataclass(frozen=True, slots=True)
class _Markets:
    """Columns of markets ("Price / Canada", "Included / Canada"). named: the market that the user chose, or ""."""

    all: tuple[str, ...]
    named: str

    @classmethod
    def of(cls, sheet: Sheet) -> _Markets:
        """Raises UnreadableFile where the market named is none of the file's."""
        markets = {plain_name(match[1]): match[1] for name in sheet.header if (match := _MARKET.match(name.strip()))}
        wanted = plain_name(sheet.market)
        if wanted and wanted not in markets:
            raise UnreadableFile(
                sheet.path, f"has no market {sheet.market!r}; its markets: {', '.join(markets.values())}", line=1
            )
        if markets and not wanted:
            why = (
                "prices by market: the shop's own price holds, and what is sold in any market is shown. Take one "
                f'market\'s with --map "market=={next(iter(markets.values()))}"'
            )
            sheet.findings.add("markets", "note", why, [(0, name) for name in markets.values()], count=len(markets))
        return cls(tuple(markets), wanted)

    def sold(self, product: Row) -> bool:
        """Whether a product is sold in the market, or in any where none was named. Who says nothing is."""
        names = (self.named,) if self.named else self.all
        said = [word for name in names if (word := product.get(f"included_{name}", ""))]
        return not said or any(word.casefold() != "false" for word in said)

    def price(self, row: Row, name: str) -> str:
        """A variant's price in the market; the shop's own where it has none."""
        own = row.get(f"{name.removeprefix('variant_')}_{self.named}", "") if self.named else ""
        if self.named and name == "variant_compare_at_price" and row.get(f"price_{self.named}", ""):
            return own  # what it was before belongs to the price
        return own or row.get(name, "")


_MARKET = re.compile(r"(?i)(?:included|price|compare at price) / (.+)$")


def rows(sheet: Sheet) -> Rows:
    """Each variant. The id is the SKU, else the handle (with its options when there are several); the handle groups
    them. Photos of further rows become `additional_image_link`."""
    products: dict[str, list[tuple[int, Row, Row]]] = {}
    markets = _Markets.of(sheet)
    previous, apart = "", set()
    names = _names(sheet.header)
    for line, raw in sheet.rows():
        row = {names.get(name) or plain_name(name): str(value or "").strip() for name, value in raw.items()}
        handle = row.get("handle", "")
        if handle != previous and handle in products:
            apart.add(handle)
        previous = handle
        products.setdefault(handle, []).append((line, row, raw))
    if apart:
        why = "rows of one product did not stand together; joined by their handle"
        sheet.findings.add("rows_apart", "note", why, [(0, handle) for handle in sorted(apart)], count=len(apart))
    for handle, group in products.items():
        if not handle:
            for one in group:  # a row by itself
                yield from _product(sheet, one[1].get("variant_sku", "").lstrip("'"), [one], markets)
            continue
        yield from _product(sheet, handle, group, markets)


def _product(sheet: Sheet, handle: str, group: list[tuple[int, Row, Row]], markets: _Markets) -> Rows:
    first: Row = {}
    metafields = [name for name in group[0][1] if _METAFIELD.search(name)]
    options = [f"option{n}_name" for n in (1, 2, 3)]
    whole = (*_WHOLE, *options, *_SAID[1:], *metafields, *(f"included_{one}" for one in markets.all))
    for _, row, _ in group:
        for name in whole:
            if row.get(name) and not first.get(name):
                first[name] = row[name]
    variants = [one for one in group if _is_variant(one[1])] or group[:1]
    sold = {id(row) for _, row, _ in variants}
    for line, row, _ in group:
        if id(row) not in sold:
            why = "a row of a photo; joined to its product"
            sheet.findings.add("joined_image", "joined", why, [(line, handle)])
    ordered = sorted(group, key=lambda one: _number(one[1].get("image_position", "")))
    photos = list(dict.fromkeys(row["image_src"] for _, row, _ in ordered if row.get("image_src")))
    skus = [row.get("variant_sku", "").lstrip("'") for _, row, _ in variants]
    unique = len({sku for sku in skus if sku}) == len([sku for sku in skus if sku])
    for (line, row, raw), sku in zip(variants, skus, strict=True):
        chosen = [(first.get(f"option{n}_name") or f"option {n}", row.get(f"option{n}_value", "")) for n in (1, 2, 3)]
        chosen = [(name, value) for name, value in chosen if value and value != "Default Title"]
        tail = "-".join(value for _, value in chosen)
        photo = row.get("variant_image") or (photos[0] if photos else "")
        fields: Row = {
            "id": (sku if unique else "") or (f"{handle}-{tail}" if tail and len(variants) > 1 else handle),
            "price": markets.price(row, "variant_price"),
            "item_group_id": handle if len(variants) > 1 else "",
        }
        if "title" in row:
            fields["title"] = " ".join([first.get("title", ""), *(value for _, value in chosen)]).strip()
        for field, names in {
            "description": ("body_(html)", "body_html"),
            "brand": ("vendor",),
            "product_type": ("type", "product_category"),
            "tags": ("tags",),
            "status": ("status",),
            "published": ("published",),
        }.items():
            if any(name in row for name in names):
                fields[field] = next((first[name] for name in names if first.get(name)), "")
        if not markets.sold(first):
            fields["visibility"] = "hidden"
        if "variant_inventory_qty" in row or "variant_inventory_policy" in row:
            fields["availability"] = _availability(row)
        if "image_src" in row:
            fields["image_link"] = photo
            fields["additional_image_link"] = " | ".join(other for other in photos if other != photo)
        if "variant_barcode" in row:
            fields["gtin"] = row["variant_barcode"].lstrip("'")
        if "variant_compare_at_price" in row:
            fields["original_price"] = markets.price(row, "variant_compare_at_price")
        for name, value in chosen:
            fields.setdefault(plain_name(name), value)
        for name in _SAID:
            if value := row.get(name) or first.get(name):
                fields.setdefault(name.removeprefix("google_shopping_").removeprefix("variant_"), value)
        for name in metafields:
            if value := row.get(name) or first.get(name):
                fields.setdefault(_METAFIELD.sub("", name), " | ".join(re.split(r"\s*;\s*", value)))
        yield line, fields, raw


def _is_variant(row: Row) -> bool:
    return any(row.get(name) for name in ("variant_price", "variant_sku", "option1_value"))


def _number(text: str) -> float:
    return float(text) if text.isdecimal() else float("inf")


def _availability(row: Row) -> str:
    """Who does not track stock, or sells on without, is never out of it."""
    tracked = "variant_inventory_tracker" not in row or bool(row["variant_inventory_tracker"])
    try:
        empty = tracked and float(row.get("variant_inventory_qty", "")) <= 0
    except ValueError:
        return "in_stock"
    return (
        "out_of_stock"
        if empty and row.get("variant_inventory_policy", "").lower() not in ("continue", "true", "yes", "1")
        else "in_stock"
    )
