"""Shopify's product CSV: rows of one Handle are one product's variants and photos."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from shelfwise.intake import reading
from shelfwise.intake.mapping import plain_name
from shelfwise.intake.reading import Row

_COLUMNS = frozenset({"handle", "title"})
_OTHER = frozenset(
    {"variant_price", "variant_sku", "variant_inventory_qty", "image_src", "body_(html)", "option1_name"}
)


def is_export(header: list[str]) -> bool:
    names = {plain_name(name) for name in header}
    return names >= _COLUMNS and bool(names & _OTHER)


def rows(path: Path, kind: str) -> Iterator[tuple[int, Row]]:
    """(line, fields) of each variant. The id is the SKU, else the handle (with its options when there are several);
    the handle groups them. Photos of further rows become `additional_image_link`."""
    source = ((line, {plain_name(k): v.strip() for k, v in row.items()}) for line, row in reading.rows_of(path, kind))
    for _, group in groupby(source, key=lambda pair: pair[1]["handle"]):
        yield from _product(list(group))


def _product(group: list[tuple[int, Row]]) -> Iterator[tuple[int, Row]]:
    first = group[0][1]
    variants = [(line, row) for line, row in group if _is_variant(row)] or group[:1]
    photos = list(dict.fromkeys(row["image_src"] for _, row in group if row.get("image_src")))
    skus = [row.get("variant_sku", "").lstrip("'") for _, row in variants]
    unique = len(set(skus)) == len(skus)
    handle = first["handle"]
    for (line, row), sku in zip(variants, skus, strict=True):
        options = [(first.get(f"option{n}_name") or f"option {n}", row.get(f"option{n}_value", "")) for n in (1, 2, 3)]
        options = [(name, value) for name, value in options if value and value != "Default Title"]
        tail = "-".join(value for _, value in options)
        photo = row.get("variant_image") or row.get("image_src") or (photos[0] if photos else "")
        fields: Row = {
            "id": (sku if unique else "") or (f"{handle}-{tail}" if tail and len(variants) > 1 else handle),
            "title": " ".join([first.get("title", ""), *(value for _, value in options)]).strip(),
            "description": first.get("body_(html)", "") or first.get("body_html", ""),
            "brand": first.get("vendor", ""),
            "product_type": first.get("type", "") or first.get("product_category", ""),
            "price": row.get("variant_price", "") or first.get("variant_price", ""),
            "availability": _availability(row),
            "image_link": photo,
            "item_group_id": handle if len(variants) > 1 else "",
            "gtin": row.get("variant_barcode", "").lstrip("'"),
            "tags": first.get("tags", ""),
            "status": first.get("status", ""),
            "published": first.get("published", ""),
            "additional_image_link": " | ".join(other for other in photos if other != photo),
        }
        for name, value in options:
            fields.setdefault(plain_name(name), value)
        for name in (
            "variant_compare_at_price",
            "variant_grams",
            "google_shopping_/_gender",
            "google_shopping_/_age_group",
        ):
            if row.get(name):
                fields[name.rpartition("_/_")[2].removeprefix("variant_")] = row[name]
        yield line, fields


def _is_variant(row: Row) -> bool:
    return any(row.get(name) for name in ("variant_price", "variant_sku", "option1_value"))


def _availability(row: Row) -> str:
    stock = row.get("variant_inventory_qty", "")
    tracked = bool(row.get("variant_inventory_tracker"))
    try:
        empty = tracked and float(stock) <= 0
    except ValueError:
        return "in_stock"
    if not empty:
        return "in_stock"
    return "backorder" if row.get("variant_inventory_policy", "").lower() == "continue" else "out_of_stock"
