"""What the text encoder reads of a product."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from shelfwise.schema import Product

_DESCRIPTION = 300  # characters: what a product is stands first, and cost grows with length
_ATTRIBUTE = 40  # characters; longer values are prose or lists
_ATTRIBUTES = 8
#: A number with a unit of pack size: it says how much, not what, and makes near-identical texts differ.
_PACK = re.compile(
    r"(?<![\w.])\d[\d.,/]*\s*"
    r"(?:lbs?|fl oz|ozs?|gal|qt|pt|ct|cnt|count|pk|pack|kg|g|ml|cl|l|dz|sq ft|ft|rl|sht|ea)\b\.?",
    re.IGNORECASE,
)


def without_pack(title: str) -> str:
    """A title without its pack sizes ("14.75 oz")."""
    return " ".join(_PACK.sub(" ", title).split()).strip(" ,;-")


def product_text(product: Product | Mapping[str, Any]) -> str:
    """What the text encoder reads of a product: title, brand, category, short attributes, start of the description.

    Takes a Product or a row of PRODUCT_COLUMNS (attributes as JSON text or a mapping). "" when nothing is known.
    """
    get: Callable[[str], Any]
    get = functools.partial(getattr, product) if isinstance(product, Product) else product.get
    title = without_pack(str(get("title") or ""))
    parts = [title]
    seen = title.casefold()
    brand = str(get("brand") or "").strip()
    category = str(get("product_type") or "").replace(" > ", ", ").strip()
    for part in (brand, category, *_short_attributes(get("attributes"))):
        if part and part.casefold() not in seen:
            parts.append(part)
            seen += " " + part.casefold()
    description = " ".join(str(get("description") or "").split())
    if len(description) > _DESCRIPTION:
        description = description[:_DESCRIPTION].rsplit(" ", 1)[0]
    if description.casefold() not in seen:
        parts.append(description)
    return ". ".join(part for part in parts if part)


def _short_attributes(attributes: Any) -> list[str]:
    if isinstance(attributes, str):
        if not attributes or attributes == "{}":
            return []
        try:
            attributes = orjson.loads(attributes)
        except orjson.JSONDecodeError:
            return []
    if not isinstance(attributes, Mapping):
        return []
    values = [_PACK.sub("", value).strip() for value in attributes.values() if isinstance(value, str)]
    return [value for value in values if 1 < len(value) <= _ATTRIBUTE and not value.isdigit()][:_ATTRIBUTES]
