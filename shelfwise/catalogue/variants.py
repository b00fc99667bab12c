"""Which products are variants of one another: those of one item_group_id, else of one brand with near-equal titles."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from shelfwise.catalogue.columns import Mask
from shelfwise.models.product_text import without_pack
from shelfwise.models.sequences import Longs

_POSITIVE = (1 << 63) - 1
#: Pack sizes beside those that the text encoder passes over (`without_pack`), whose texts must not change.
_MORE_PACK = re.compile(r"(?<![\w.])\d[\d.,/]*\s*(?:ga|gallons?|quarts?|pints?|doz|dozen|packs?|packets?|stems?)\b")
_WORDS = re.compile(r"\w+")


def variant_keys(groups: Sequence[str], brands: Sequence[str], titles: Sequence[str]) -> Longs:
    """A number that the variants of one product share, int64 [m], 0 or more; -1 for a product by itself.

    A hash, the same within a process: a table of numbers would take a hundred bytes a product."""
    keys = map(_key, groups, brands, titles)
    return np.fromiter((-1 if key is None else hash(key) & _POSITIVE for key in keys), np.int64, len(groups))


def first_of_group(groups: Longs, most: int) -> Mask:
    """Of rows in their order, which are among the first `most` of their group: bool [m]; -1 is no group."""
    places = np.flatnonzero(groups >= 0)
    order = places[np.argsort(groups[places], kind="stable")]
    keep = np.ones(len(groups), np.bool_)
    keep[order[most:]] = groups[order[most:]] != groups[order[:-most]]  # is the one `most` before of another group?
    return keep


def _key(group: str, brand: str, title: str) -> str | tuple[str, str] | None:
    """The group, else the brand and the words of a title without its pack size; None where there is neither."""
    if group or not brand:
        return group or None
    name = " ".join(_WORDS.findall(_MORE_PACK.sub(" ", without_pack(title).casefold())))
    return (brand.casefold(), name) if name else None
