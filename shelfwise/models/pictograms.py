"""Pictograms: for each category the emoji whose name is nearest to the category's, for products without a photo.

Emoji and their names come from the package `emoji` (Unicode's short names); nearness is the cosine of text vectors.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from shelfwise.models.encoders import TextEncoder, VectorCache, encode_texts, text_encoder
from shelfwise.models.recommender import Progress
from shelfwise.settings import Settings

FILE = "pictograms.json"  # of the shop: emoji by category
_NEAR = 0.42  # cosine; on a grocer's 3,886 categories most below are far-fetched
_LEVELS = 2  # of a category's path, the deepest
#: Names of what is no thing a shop sells: faces, people, signs and flags.
_NO_THINGS = re.compile(
    r"\b(face|flag|button|clock|thirty|moon|person|people|man|woman|men|women|boy|girl|hands?|fingers?|arrow|heart|eyes|"
    r"sign|mark|square|circle|triangle|diamond|prohibited|no|non|keycap|input|skin|beard|family|couple|symbol|letter|"
    r"japanese|backhand|index|fist|zombie|vampire|elf|genie|fairy|mage|superhero|supervillain|troll|ninja|prince|"
    r"princess|guard|detective|worker|pregnant|breast|santa|mx|mrs|angel|dotted|heavy|black|white|coffin|cockroach|pouring)\b"
)


def draw(products: pl.DataFrame, folder: Path, settings: Settings, progress: Progress | None = None) -> None:
    """Write the pictograms of all categories that hold products (PRODUCT_COLUMNS) without a photo to the shop's
    folder, for its pages. Without a text encoder nothing is written."""
    if settings.text_encoder == "none":
        return
    bare = products.filter(pl.col("image_link").fill_null("") == "")["product_type"].drop_nulls().unique()
    cache = VectorCache(folder / "cache")
    drawn = pictograms([name for name in bare if name], text_encoder(settings.threads), cache, progress)
    part = folder / f"{FILE}.part"
    part.write_text(json.dumps(drawn, ensure_ascii=False), "utf-8")
    part.replace(folder / FILE)


def pictograms(
    categories: Collection[str], encoder: TextEncoder, vectors: VectorCache, progress: Progress | None = None
) -> dict[str, str]:
    """The emoji of each category (levels joined by " > "); categories far from all have none."""
    some = sorted(categories)
    if not some:
        return {}
    emoji, names = _things()
    known = encode_texts(names, encoder, vectors, None)
    encoded = encode_texts([_words(category) for category in some], encoder, vectors, progress)
    cosine = encoded @ known.T
    best = np.argmax(cosine, axis=1)
    return {
        category: emoji[place]
        for category, place, near in zip(some, best.tolist(), cosine.max(axis=1).tolist(), strict=True)
        if near >= _NEAR
    }


def _words(category: str) -> str:
    return " ".join(category.split(" > ")[-_LEVELS:]).lower()


@cache
def _things() -> tuple[Sequence[str], list[str]]:
    """Emoji of one sign that show things, and their names."""
    from emoji import EMOJI_DATA, STATUS

    things = {}
    for sign, facts in EMOJI_DATA.items():
        name = facts["en"].strip(":").replace("_", " ").replace("-", " ")
        thing = not _NO_THINGS.search(name) and not "\U0001f1e6" <= sign[0] <= "\U0001f1ff"  # such letters make flags
        if thing and facts["status"] == STATUS["fully_qualified"] and len(sign) <= 2:
            things[sign] = name
    return list(things), list(things.values())
