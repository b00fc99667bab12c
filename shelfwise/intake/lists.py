"""Tables whose product column holds several: '["100", "101"]', "['100', '101']", '100,101', '100|101' → a row each."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Collection

import polars as pl

from shelfwise.intake.report import Findings

LIST = r"^\s*[\[{].*[\]}]\s*$"
_SIGNS = re.compile(r"\s*[,;|]\s*")


def parts_of(text: str, known: Collection[str]) -> list[str] | None:
    """The ids of a list, None for one id. Where signs part them, only ids of the catalogue are a list: an id may well
    hold a comma."""
    text = text.strip()
    if text[:1] in "[(" and text[-1:] in ")]":
        for read in (json.loads, ast.literal_eval):
            try:
                listed = read(text)
            except (ValueError, SyntaxError, MemoryError, RecursionError):
                continue
            if isinstance(listed, list | tuple) and not any(isinstance(one, dict | list | tuple) for one in listed):
                return [str(one).strip() for one in listed if one is not None]
        return None
    if text in known or not known:
        return None
    parts = _SIGNS.split(text)
    return parts if len(parts) > 1 and all(part in known for part in parts) else None


def expanded(
    texts: pl.DataFrame, product: str, beside: Collection[str], known: Collection[str], findings: Findings
) -> pl.DataFrame:
    """A row for each product of a list. beside: columns that may hold a list as long (quantities, prices)."""
    several = texts[product].str.contains(r"^\s*[\[(].*[\])]\s*$|[,;|]")
    if not several.any():
        return texts
    rows: list[dict[str, object]] = []
    count = 0
    examples: list[tuple[int, str]] = []
    for row, listed in zip(texts.iter_rows(named=True), several.to_list(), strict=True):
        parts = parts_of(row[product], known) if listed else None
        if parts is None:
            rows.append(row)
            continue
        count += 1
        examples.append((row["line"], row[product]))
        lists = {name: parts_of(row[name], ()) or [row[name]] * len(parts) for name in beside}
        lists = {
            name: values if len(values) == len(parts) else [row[name]] * len(parts) for name, values in lists.items()
        }
        rows += [
            {**row, product: part, **{name: values[at] for name, values in lists.items()}}
            for at, part in enumerate(parts)
        ]
    why = "holds a list of products: one event each"
    findings.add("listed_products", "note", why, examples[:20], count=count)
    findings.read += len(rows) - texts.height
    return pl.DataFrame(rows, schema=texts.schema)


def lists_as_ids(frame: pl.DataFrame, known: Collection[str], findings: Findings) -> pl.DataFrame:
    """Without rows whose product is still a list or an object: never an id."""
    listed = frame["product"].str.contains(LIST) & ~frame["product"].is_in(list(known))
    if listed.any():
        why = "the product's column holds a list or an object, which is no id; write one line a product"
        findings.add_rows("list_as_id", "dropped", why, frame.filter(listed), "product")
        frame = frame.filter(~listed)
    return frame
