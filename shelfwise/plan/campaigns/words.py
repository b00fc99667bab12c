"""What campaigns say to people: English text for lists, files and the API, by key for pages in another language."""

from __future__ import annotations

import re
from typing import Any

POPULAR = "popular"
_BOUGHT = re.compile(r"bought (\d+)x: (.+)", re.DOTALL)


class Said(str):
    """A sentence in English that knows its key and values. Pages look the key up as console.campaigns.said.KEY."""

    __slots__ = ("key", "values")

    key: str
    values: dict[str, Any]

    def __new__(cls, key: str, text: str, /, **values: Any) -> Said:
        """text: with a place in braces for each value."""
        said = super().__new__(cls, text.format(**values))
        said.key, said.values = key, values
        return said


def bought(count: int, title: str) -> str:
    """Why a product is named to a customer: they bought it. It is recorded and read again by `reason`."""
    return f"bought {count}x: {title}"


def reason(text: str) -> Said:
    """A recorded reason with its key; of a text that was loaded from elsewhere the key is "other"."""
    if match := _BOUGHT.fullmatch(text):
        return Said("bought", "bought {count}x: {title}", count=int(match[1]), title=match[2])
    if text in ("", POPULAR):
        return Said("popular", POPULAR)
    return Said("other", "{text}", text=text)
