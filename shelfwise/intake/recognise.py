"""Is a file a product feed or an event log? Told by its content, whatever it is called."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from shelfwise.errors import UnreadableFile
from shelfwise.intake import events, exports, ga4, matomo, nested, products, reading
from shelfwise.intake.mapping import resolve

Contents = Literal["products", "events"]


def recognise(path: Path) -> Contents:
    """An event log tells who (customer or session), what (product or query) and when; a product feed has an id and
    nobody in it. Raises UnreadableFile for what is neither."""
    kind = reading.sniff(path)
    if kind == "xml":
        return "products"
    if kind == "jsonl" and ga4.is_export(path):
        return "events"
    header = reading.header_of(path, kind)
    if matomo.is_table(header):
        return "events"  # which says what to export in its place
    if kind != "jsonl" and exports.recognised(header):
        return "products"
    names = resolve(path, header, None, events.SYNONYMS, open_ended=True)
    whose = {"customer", "session", "request_id"} & set(names)
    if "time" in names and whose and {"product", "query"} & set(names):
        return "events"
    if kind in ("jsonl", "parquet") and nested.is_nested(path, kind) and nested.holds_orders(path, kind):
        return "events"
    if "id" in resolve(path, header, None, products.SYNONYMS, open_ended=True):
        return "products"
    raise UnreadableFile(
        path,
        "is neither a product feed (no column holds the product's id) nor an event log (who, what, when); its columns: "
        + ", ".join(name[:40] for name in header[:20]),
        line=1,
    )
