"""Cells of a table that hold JSON, or Python's way to write it: variants, photos, attributes → what they say.

Titles and descriptions stay texts, whatever they look like.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import orjson

from shelfwise.intake import answers, reading
from shelfwise.intake.fields import SYNONYMS
from shelfwise.intake.mapping import plain_name
from shelfwise.intake.reading import Row

_TEXTS = frozenset((*SYNONYMS["title"], *SYNONYMS["description"], *SYNONYMS["id"]))
_LOOKED_AT = 100


def nest(path: Path, kind: str, header: Iterable[str]) -> bool:
    """Whether a cell of a table holds a list or an object: any of its first rows', or of a column that may well."""
    likely = {name for name in header if plain_name(name) in answers.NESTS}
    for at, (_, row) in enumerate(reading.rows_of(path, kind)):
        if at >= _LOOKED_AT and not likely:
            return False
        looked_at = row if at < _LOOKED_AT else {name: row[name] for name in likely}
        if any(isinstance(value, list | dict) for value in opened(looked_at).values()):
            return True
    return False


def opened(row: Row) -> Row:
    """The row with what its cells hold; the row itself where they hold texts and numbers alone."""
    held = {
        name: said
        for name, value in row.items()
        if isinstance(value, str) and (said := _held(value)) is not None and plain_name(name) not in _TEXTS
    }
    return {**row, **held} if held else row


def _held(text: str) -> list[Any] | dict[str, Any] | None:
    text = text.strip()
    if text[:1] + text[-1:] not in ("[]", "{}") or len(text) == 2:
        return None
    try:
        said = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            said = ast.literal_eval(text)  # as pandas writes what nests: {'sku': 'A', 'size': None}
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
    return said if isinstance(said, list | dict) else None
