# ruff: noqa: E501 (the table of words is wide)
"""The Complete Journey's product table in words people and text encoders read.

The till's names are capitals, cut at 30 characters and abbreviated: "FRZN JCE CONC/DRNKS" → "Frozen Juice Concentrate/Drinks".
"""

from __future__ import annotations

import re
from collections.abc import Callable

import orjson
import polars as pl

from shelfwise.intake.values import normalise_unit
from shelfwise.schema import PRODUCT_COLUMNS

#: Abbreviations of whole words whose meaning the rows around them leave no doubt about.
_WORDS = {
    "frzn": "frozen", "jce": "juice", "conc": "concentrate", "drnk": "drink", "drnks": "drinks", "drnkng": "drinking",
    "wtr": "water", "wat": "water", "mnrl": "mineral", "flvrd": "flavored", "sft": "soft", "btl": "bottle", "carb": "carbonated",
    "sngl": "single", "sgl": "single", "srv": "serve", "sv": "serve", "mlt": "multi", "pk": "pack", "pkg": "packaged",
    "pkgd": "packaged", "pckgd": "packaged", "pkt": "packet", "bkd": "baked", "sw": "sweet", "swt": "sweet", "gds": "goods",
    "choc": "chocolate", "veg": "vegetable", "dsh": "dish", "mxs": "mixes", "mx": "mix", "sprd": "spread", "sald": "salad",
    "sndwch": "sandwich", "drsng": "dressing", "brkfst": "breakfast", "whlsm": "wholesome", "refrgratd": "refrigerated",
    "pwdr": "powder", "crystl": "crystal", "chix": "chicken", "pnt": "peanut", "btr": "butter", "jams": "jams",
    "preportnd": "preportioned", "ltr": "lighter", "sply": "supply", "tiss": "tissue", "dnr": "dinner", "dnrs": "dinners",
    "bn": "bean", "cnd": "canned", "clng": "cleaning", "cleang": "cleaning", "fd": "food", "trsh": "trash", "bg": "bag",
    "snks": "snacks", "ckys": "cookies", "crkr": "crackers", "cndy": "candy", "ndairy": "non-dairy", "catfd": "cat food",
    "gm": "general merchandise", "hbc": "health & beauty", "prod": "produce", "whs": "warehouse", "elect": "electric",
    "cntrl": "central", "sup": "supplies", "merch": "merchandise", "cont": "contribution", "rts": "ready to serve",
    "grnd": "ground", "stk": "steak", "bnls": "boneless", "elstc": "elastic", "bndges": "bandages", "suprt": "support",
    "pwd": "powder", "lrg": "large", "sml": "small", "reg": "regular", "disposible": "disposable", "supplys": "supplies",
    "suppplies": "supplies", "sweetners": "sweeteners", "chococlate": "chocolate", "memorablilia": "memorabilia",
    "sherbts": "sherbets", "pkld": "pickled", "ss": "single serve", "frsh": "fresh", "var": "variety", "bev": "beverages",
    "mach": "machine", "vend": "vending", "cig": "cigarette", "asst": "assorted", "deco": "decorated", "yogurt/ds": "yogurt",
}  # fmt: skip
_AS_THEY_ARE = {
    "dvd": "DVD",
    "bbq": "BBQ",
    "usda": "USDA",
    "tv": "TV",
    "cd": "CD",
    "nz": "NZ",
    "uht": "UHT",
    "dsd": "DSD",
}
_SMALL = frozenset({"and", "or", "of", "on", "the", "in", "to", "for", "with", "not", "all"})
_WORD = re.compile(r"[A-Za-z']+")


def words(text: str) -> str:
    """'SW GDS:DONUTS' → 'Sweet Goods: Donuts', 'DVD S' → 'DVDs', 'SPECIALTY CHIPS (SOY CRISPS/PI' → 'Specialty Chips'."""
    text = re.sub(r"\s*\([^)]*$", "", text) or text  # a bracket the till cut off
    text = re.sub(r"\bMISC\b\.?", "MISCELLANEOUS", text)
    text = re.sub(r"\b([A-Z]{3,}) S\b", r"\1'S", text)  # CHILDREN S: the till knows no apostrophe
    text = re.sub(r"\s+", " ", re.sub(r":(?=\S)", ": ", text)).strip()
    first = True

    def one(match: re.Match[str]) -> str:
        nonlocal first
        word = match.group(0).lower()
        word = _WORDS.get(word, word)
        begin, first = first, False
        if word in _AS_THEY_ARE:
            return _AS_THEY_ARE[word]
        if word in _SMALL and not begin:
            return word
        return " ".join(part[:1].upper() + part[1:] for part in word.split(" "))

    return _WORD.sub(one, text).replace("DVD's", "DVDs")


def product_frame(raw: pl.DataFrame, sold: pl.DataFrame) -> pl.DataFrame:
    """PRODUCT_COLUMNS of the package's products.parquet; `sold` has product_id, price and created (of what was bought).

    The title is made of the type, the size and the brand ("Ice - Crushed/Cubed, 22 lb, National"): the data names no
    product. The brand is the kind of brand and the manufacturer's number ("National 69").
    """
    spoken = {name: _translated(raw[name], words) for name in ("department", "product_category", "product_type")}
    sizes = _translated(raw["package_size"], normalise_unit)
    empty = pl.lit("")
    frame = raw.select(
        "product_id",
        "manufacturer_id",
        "brand",
        **{name: column.alias(name) for name, column in spoken.items()},
        size=sizes,
    ).join(sold, on="product_id", how="left", maintain_order="left")
    levels = [pl.col(name) for name in spoken]
    name = pl.coalesce(pl.col("product_type"), pl.col("product_category"), pl.col("department"))
    frame = frame.with_columns(
        id=pl.col("product_id").cast(pl.String),
        title=pl.concat_str(name, "size", "brand", separator=", ", ignore_nulls=True),
        path=pl.concat_str(levels, separator=" > ", ignore_nulls=True),
        maker=pl.format("{} {}", "brand", "manufacturer_id"),
    )
    attributes = [
        orjson.dumps(
            {"department": department, "brand_kind": kind, "manufacturer": str(maker)}
            | ({"size": size} if size else {})
        ).decode()
        for department, kind, maker, size in frame.select("department", "brand", "manufacturer_id", "size").iter_rows()
    ]
    given: dict[str, pl.Expr | pl.Series] = {
        "id": pl.col("id"),
        "title": pl.col("title"),
        "brand": pl.col("maker"),
        "product_type": pl.col("path"),
        "price": pl.col("price"),
        "created": pl.col("created").fill_null(pl.col("created").min()),  # never bought: as old as the data
        "currency": pl.lit("USD"),
        "availability": pl.lit("in_stock"),
        "attributes": pl.Series(attributes, dtype=pl.String),
    }
    return frame.select(
        **{
            name: given.get(name, empty if kind == pl.String() else pl.lit(None))
            for name, kind in PRODUCT_COLUMNS.items()
        }
    ).cast(pl.Schema(PRODUCT_COLUMNS))


def _translated(column: pl.Series, translate: Callable[[str], str]) -> pl.Series:
    """Each distinct text translated once."""
    distinct = column.unique().drop_nulls()
    new = [translate(text) for text in distinct]
    return column.replace_strict(distinct, new, default=None, return_dtype=pl.String)
