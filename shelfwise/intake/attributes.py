"""Attributes of a product, as a feed's columns give them: texts cleaned, numbers and booleans kept, what nests flat."""

from __future__ import annotations

from typing import Any

from shelfwise.intake.reading import value_text
from shelfwise.intake.values import clean_text, normalise_unit
from shelfwise.schema import MAX_ID, MAX_TEXT

Attribute = str | float | bool
_MEASURES = ("size", "weight", "volume", "length", "width", "height", "measure", "dimension", "capacity", "package")


def put_attribute(made: dict[str, Attribute], key: str, value: Any) -> None:
    """Set it in `made`: an object part by part (key.part), a list joined by " | ", an empty text not at all."""
    if isinstance(value, dict):
        for name, part in value.items():
            put_attribute(made, f"{key}.{name}", part)
        return
    key = clean_text(key, markup=False)[:MAX_ID]
    if not key:
        return
    if isinstance(value, bool):
        made[key] = value
    elif isinstance(value, int | float):
        made[key] = value if abs(value) <= 1e15 else str(value)
    else:
        parts = value if isinstance(value, list) else [value]
        text = " | ".join(part for part in (clean_text(value_text(part)) for part in parts) if part)[:MAX_TEXT]
        if any(word in key.lower() for word in _MEASURES):
            text = normalise_unit(text)
        if text:
            made[key] = text
