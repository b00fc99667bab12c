"""Which shop system's own export a file is, told by its headings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from shelfwise.intake import amazon, hosted, magento, prestashop, shopify, shopware, woocommerce
from shelfwise.intake.mapping import Column, resolve
from shelfwise.intake.reading import Row
from shelfwise.intake.report import Findings
from shelfwise.intake.sheet import Rows, Sheet

MARKET = "market"  # of a mapping: no field, but which of an export's prices count, as in {"market": "=Canada"}


@dataclass(frozen=True, slots=True)
class Export:
    """A shop system: what its export is called, how it is recognised, its headings by role, its rows."""

    name: str
    is_export: Callable[[Iterable[str]], bool]
    headings: Mapping[str, str]
    rows: Callable[[Sheet], Rows]


EXPORTS: dict[str, Export] = {
    "shopify": Export("Shopify", shopify.is_export, shopify.NAMES, shopify.rows),
    "woocommerce": Export("WooCommerce", woocommerce.is_export, woocommerce.NAMES, woocommerce.rows),
    "magento": Export("Magento", magento.is_export, magento.NAMES, magento.rows),
    "shopware": Export("Shopware", shopware.is_export, shopware.NAMES, shopware.rows),
    "amazon": Export("Amazon", amazon.is_export, amazon.NAMES, amazon.rows),
    "hosted": Export("a hosted shop", hosted.is_export, hosted.NAMES, hosted.rows),
    "prestashop": Export("PrestaShop", prestashop.is_export, prestashop.NAMES, prestashop.rows),
}


def recognised(header: Iterable[str]) -> str:
    """The key in EXPORTS of the system whose export has this header, "" for none."""
    header = list(header)
    return next((key for key, export in EXPORTS.items() if export.is_export(header)), "")


def rows(
    export: Export,
    path: Path,
    kind: str,
    header: list[str],
    mapping: Mapping[str, str] | None,
    findings: Findings,
    source: Callable[[], Iterator[tuple[int, Row]]] | None = None,
) -> tuple[Iterator[tuple[int, Row]], dict[str, str]]:
    """(rows under the vocabulary's names, mapping that remains). What the user maps to a column of the file is taken
    from there, whatever the export's own rules say. Raises UnreadableFile for a column that is not there."""
    remaining = dict(mapping or {})
    market = remaining.pop(MARKET, "").removeprefix("=")
    sheet = Sheet.of(path, kind, header, export.headings, findings, source, market)
    own = {field: text for field, text in remaining.items() if not text.startswith("=")}
    columns = resolve(path, header, own, dict.fromkeys(own, ())) if own else {}
    for field, column in columns.items():
        rule = own[field][len(column.name) :]
        remaining[field] = f"{field}{rule}"

    def mapped() -> Iterator[tuple[int, Row]]:
        for line, row, raw in export.rows(sheet):
            for field, column in columns.items():
                row[field] = _value(raw, column)
            yield line, row

    return mapped(), remaining


def _value(raw: Row, column: Column) -> object:
    return raw.get(column.name, "")


def format_of(format: str | None, header: list[str]) -> str:
    """The export that the user names, else the one recognised; "" for none."""
    if format in EXPORTS:
        return str(format)
    return recognised(header) if format is None else ""
