"""All products by row, once for recommendation and search: what each says, for filters, facets, sorts and variants.

A product keeps its row as long as this process knows it; rows of deleted products are GONE. Readers take
`Products.view`, an immutable snapshot; a writer prepares the next one and swaps it in.

Attributes are kept sparse: of each name the rows that have it and the codes of their values. A value "a | b" (a list in
the feed) is one code that counts as both. Only search reads them and descriptions: they are kept from `describe` on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from shelfwise.catalogue.columns import Column, Mask, Names
from shelfwise.catalogue.filters import FACETS, Filters, SearchFilters, Value
from shelfwise.catalogue.variants import variant_keys
from shelfwise.errors import UnknownProduct
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Floats, Ints, Longs
from shelfwise.schema import PRODUCT_COLUMNS, PRODUCT_TIMES, Availability, Product, to_micros

_T = TypeVar("_T", bound=np.generic)
AVAILABILITIES: tuple[Availability, ...] = tuple(Availability)
SALE = {str(kind): code for code, kind in enumerate(AVAILABILITIES)}
GONE = -1  # availability code of a product that is not in the catalogue
LEVELS = " > "
SHOWN = 400  # characters of a description that are ever shown, and kept
_KEPT = 256  # filters and tables remembered by a view
_NONE = np.empty(0, np.int32)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ProductsView:
    """One consistent state of the products. Arrays are [n]; do not write to them.

    sale: availability code (position in AVAILABILITIES), GONE when not in the catalogue. price: NaN unknown.
    brand, category: codes, -1 unknown. created: seconds, 0 unknown. group: code of the item_group_id, -1 for none.
    variant: what the variants of one product share (variants.py), int64, -1 for a product by itself.
    """

    n: int
    ids: list[str]
    titles: list[str]
    descriptions: list[str]
    rows: dict[str, int]
    sale: npt.NDArray[np.int8]
    price: Floats
    brand: Ints
    category: Ints
    created: Longs
    group: Ints
    variant: Longs
    brands: Names
    categories: Names
    groups: Names
    attributes: dict[str, Column]
    _tables: dict[Any, Mask] = field(default_factory=dict, init=False)
    _paths: dict[tuple[str, int], dict[str, list[int]]] = field(default_factory=dict, init=False)
    _matches: dict[Filters, Ints] = field(default_factory=dict, init=False)

    def row(self, product: str) -> int | None:
        """The row of a product in the catalogue, None when there is none."""
        row = self.rows.get(product)
        return None if row is None or row >= self.n or self.sale[row] == GONE else row

    def require(self, product: str) -> int:
        """Its row. Raises UnknownProduct."""
        row = self.row(product)
        if row is None:
            raise UnknownProduct(product)
        return row

    def all(self) -> Ints:
        """Every row, int32 [n]."""
        return np.arange(self.n, dtype=np.int32)

    def live(self) -> Ints:
        """Rows in the catalogue, whatever their availability."""
        return np.flatnonzero(self.sale != GONE).astype(np.int32)

    def title(self, row: int) -> str:
        return self.titles[row] or self.ids[row]

    def brand_name(self, row: int) -> str:
        code = int(self.brand[row])
        return str(self.brands.names[code]) if code >= 0 else ""

    def availability(self, row: int) -> Availability:
        """Of a row in the catalogue."""
        return AVAILABILITIES[int(self.sale[row])]

    def top_category(self, row: int) -> str:
        """The first level of its category."""
        code = int(self.category[row])
        return str(self.categories.names[code]).split(LEVELS, 1)[0] if code >= 0 else ""

    def units(self, rows: Ints) -> Longs:
        """What counts as one product: rows of one group share a number. int64 [m]."""
        groups = self.group[rows].astype(np.int64)
        return np.where(groups >= 0, groups, -1 - rows.astype(np.int64))

    def masks(self, filters: Filters, rows: Ints) -> dict[str, Mask]:
        """For each filter that was given, by the facet it narrows: which of these rows [m] pass it. Availability and
        exclusions stand under "availability" and ""."""
        sale = self.sale[rows]
        masks: dict[str, Mask] = {
            "availability": sale != GONE if filters.availability is None else _available(filters.availability)[sale]
        }
        if filters.categories:
            masks["category"] = self.having("category", filters.categories, rows)
        if filters.brands:
            masks["brand"] = self.having("brand", filters.brands, rows)
        if filters.price_min is not None or filters.price_max is not None:
            masks["price"] = _between(self.price[rows], filters.price_min, filters.price_max)
        if filters.exclude:
            excluded = [row for product in filters.exclude if (row := self.rows.get(product)) is not None]
            masks[""] = ~np.isin(rows, excluded)
        if isinstance(filters, SearchFilters):
            for name, values in filters.attributes.items():
                masks[name] = self.having(name, values, rows) if name not in FACETS else np.zeros(len(rows), np.bool_)
            for name, (low, high) in filters.ranges.items():
                column = self.attributes.get(name)
                none = np.zeros(len(rows), np.bool_)
                mask = none if column is None else _between(column.numbers()[column.at(rows)], low, high)
                masks[name] = masks[name] & mask if name in masks else mask
        return masks

    def allowed(self, filters: Filters, rows: Ints) -> Mask:
        """Which of these rows [m] pass all filters, exclusions included: bool [m]."""
        return passing(self.masks(filters, rows).values(), len(rows))

    def matching(self, filters: Filters) -> Ints:
        """Every row that passes; remembered, so that a category page is scanned once a catalogue change."""
        rows = self._matches.get(filters)
        if rows is None:
            rows = np.flatnonzero(self.allowed(filters, self.all())).astype(np.int32)
            if len(self._matches) >= _KEPT:
                self._matches.clear()
            self._matches[filters] = rows
        return rows

    def having(self, field: str, values: Sequence[Value], rows: Ints) -> Mask:
        """Which of these rows [m] have one of the values: field is brand, category, availability or an attribute."""
        texts = tuple(map(str, values))
        if field == "brand":
            return self._table("brand", texts)[self.brand[rows]]
        if field == "category":
            return self._table("category", texts)[self.category[rows]]
        if field == "availability":
            return np.isin(self.sale[rows], [SALE[text] for text in texts if text in SALE])
        column = self.attributes.get(field)
        return np.zeros(len(rows), np.bool_) if column is None else column.matching(values)[column.at(rows)]

    def _table(self, kind: str, values: tuple[str, ...]) -> Mask:
        """bool [names + 1]: is this brand, or this category or one below it, among the values? The last: unknown."""
        names = self.brands if kind == "brand" else self.categories
        key = (kind, values, len(names))
        table = self._tables.get(key)
        if table is None:
            codes = self._codes(kind, names)
            table = np.zeros(len(names) + 1, np.bool_)
            for value in values:
                table[codes.get(value.casefold(), [])] = True
            if len(self._tables) < _KEPT:
                self._tables[key] = table
        return table

    def _codes(self, kind: str, names: Names) -> dict[str, list[int]]:
        """By its name in lower case the codes of a brand, or of a category and those below it."""
        key = (kind, len(names))
        codes = self._paths.get(key)
        if codes is None:
            codes = {}
            for code, name in enumerate(names.names[: len(names)]):
                path = str(name).casefold()
                levels = path.split(LEVELS) if kind == "category" else [path]
                for above in accumulate(levels, f"{{}}{LEVELS}{{}}".format):
                    codes.setdefault(above, []).append(code)
            self._paths[key] = codes
        return codes


class Products:
    """All products by row. Any number of readers through `view`; writers take turns.

    frame: PRODUCT_COLUMNS, the first products; None for none. described: keep attributes and descriptions.
    """

    def __init__(self, frame: pl.DataFrame | None = None, *, described: bool = True) -> None:
        self._writing = threading.Lock()
        self.described = described
        self.view = ProductsView(
            n=0,
            ids=[],
            titles=[],
            descriptions=[],
            rows={},
            sale=np.empty(0, np.int8),
            price=np.empty(0, np.float32),
            brand=_NONE,
            category=_NONE,
            created=np.empty(0, np.int64),
            group=_NONE,
            variant=np.empty(0, np.int64),
            brands=Names(),
            categories=Names(),
            groups=Names(),
            attributes={},
        )
        if frame is not None:
            self.upsert(frame)

    @classmethod
    def of_items(cls, ids: Sequence[str], facts: Items, sale: int) -> Products:
        """The products that something was learned of, in their order, with their codes, not described. sale: the
        availability code of each, GONE until the record says more."""
        made, n = cls(described=False), len(ids)
        view = made.view
        for names, texts in (
            (view.brands, facts.brand_names),
            (view.categories, facts.category_names),
            (view.groups, facts.group_names),
        ):
            for text in texts:
                names.of(text)
        group = np.full(n, -1, np.int32) if facts.group is None else facts.group
        made.view = replace(
            view,
            n=n,
            ids=list(ids),
            titles=[""] * n,
            rows={name: row for row, name in enumerate(ids)},
            sale=np.full(n, sale, np.int8),
            price=np.full(n, np.nan, np.float32) if facts.price is None else facts.price,
            brand=np.full(n, -1, np.int32) if facts.brand is None else facts.brand,
            category=np.full(n, -1, np.int32) if facts.category is None else facts.category,
            created=np.zeros(n, np.int64) if facts.created is None else facts.created,
            group=group,
            variant=group.astype(np.int64),
        )
        return made

    def __len__(self) -> int:
        """Products in the catalogue."""
        return int(np.count_nonzero(self.view.sale != GONE))

    def begins_with(self, ids: Sequence[str], facts: Items) -> bool:
        """Whether rows and codes are those of `of_items`, with others after them."""
        view = self.view
        return (
            view.ids[: len(ids)] == list(ids)
            and tuple(view.brands.names[: len(facts.brand_names)]) == facts.brand_names
            and tuple(view.categories.names[: len(facts.category_names)]) == facts.category_names
        )

    def describe(self, frame: pl.DataFrame) -> None:
        """Keep attributes and descriptions from now on. frame: PRODUCT_COLUMNS of all products."""
        with self._writing:
            if not self.described:
                self.described = True
                self.view = self._with(frame)[0]

    def intern(self, other: Products) -> None:
        """Hold the texts that `other` holds as well only once."""
        with self._writing:
            mine, theirs = self.view, other.view
            for row, name in enumerate(mine.ids):
                there = theirs.rows.get(name)
                if there is not None:
                    mine.ids[row] = theirs.ids[there]
                    if mine.titles[row] == theirs.titles[there]:
                        mine.titles[row] = theirs.titles[there]
            self.view = replace(mine, rows=dict(zip(mine.ids, range(len(mine.ids)), strict=True)))

    def upsert(self, frame: pl.DataFrame) -> Ints:
        """Add or replace products (PRODUCT_COLUMNS); their rows."""
        if not frame.height:
            return _NONE
        with self._writing:
            self.view, rows = self._with(frame)
        return rows

    def delete(self, products: Iterable[str]) -> Ints:
        """Take products out; the rows of those that were there."""
        with self._writing:
            view = self.view
            gone = np.array([row for name in products if (row := view.row(name)) is not None], np.int32)
            if len(gone):
                sale = view.sale.copy()
                sale[gone] = GONE
                self.view = replace(view, sale=sale)
        return gone

    def _with(self, frame: pl.DataFrame) -> tuple[ProductsView, Ints]:
        view = self.view
        at, new = self._rows_of(frame["id"].to_list())
        rows, titles = at.tolist(), frame["title"].to_list()
        for row, title in zip(rows, titles, strict=True):
            if view.titles[row] != title:
                view.titles[row] = title
        attributes = view.attributes
        if self.described:
            view.descriptions.extend([""] * (len(view.ids) - len(view.descriptions)))
            for row, text in zip(rows, frame["description"].to_list(), strict=True):
                view.descriptions[row] = text[:SHOWN]
            attributes = _attributes(view, rows, new, frame["attributes"].to_list())
        n, groups, brands = len(view.ids), frame["item_group_id"].to_list(), frame["brand"].to_list()
        columns: dict[str, Any] = {
            "sale": grown(view.sale, n, GONE),
            "price": grown(view.price, n, np.nan),
            "brand": grown(view.brand, n, -1),
            "category": grown(view.category, n, -1),
            "created": grown(view.created, n, 0),
            "group": grown(view.group, n, -1),
            "variant": grown(view.variant, n, -1),
        }
        columns["sale"][at] = [SALE[name] for name in frame["availability"].to_list()]
        columns["price"][at] = frame["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
        columns["brand"][at] = [view.brands.of(name) for name in brands]
        columns["category"][at] = [view.categories.of(name) for name in frame["product_type"].to_list()]
        columns["created"][at] = (frame["created"].fill_null(0) // 1_000_000).to_numpy()
        columns["group"][at] = [view.groups.of(name) for name in groups]
        columns["variant"][at] = variant_keys(groups, brands, titles)
        return replace(view, n=n, attributes=attributes, **columns), at

    def _rows_of(self, ids: list[str]) -> tuple[Ints, list[bool]]:
        """Rows of these products, and which are new. Names are only appended: an older view stops at its own n."""
        view = self.view
        at, new = np.empty(len(ids), np.int32), []
        for place, name in enumerate(ids):
            row = view.rows.get(name)
            new.append(row is None)
            if row is None:
                row = len(view.ids)
                view.ids.append(name)
                view.titles.append("")
                view.rows[name] = row
            at[place] = row
        return at, new


def passing(masks: Iterable[Mask], n: int) -> Mask:
    """Which of n products pass every mask."""
    kept = np.ones(n, np.bool_)
    for mask in masks:
        kept &= mask
    return kept


def grown(values: npt.NDArray[_T], n: int, fill: float) -> npt.NDArray[_T]:
    """A copy with n entries, the new ones `fill`."""
    result = np.full(n, fill, values.dtype)
    result[: len(values)] = values
    return result


def first_levels(categories: Iterable[object]) -> Ints:
    """Codes of the first level of each category by its name, int32 [names + 1]; the last, -1, is for unknown ones."""
    firsts: dict[str, int] = {}
    codes = [firsts.setdefault(str(name).split(LEVELS, 1)[0], len(firsts)) for name in categories]
    return np.array([*codes, -1], np.int32)


def frame_of(products: Sequence[Product]) -> pl.DataFrame:
    """PRODUCT_COLUMNS of products."""
    made = [
        {
            name: getattr(product, name)
            for name in PRODUCT_COLUMNS
            if name not in ("attributes", "availability", "status", *PRODUCT_TIMES)
        }
        | {
            "availability": str(product.availability),
            "status": str(product.status),
            **{name: None if (time := getattr(product, name)) is None else to_micros(time) for name in PRODUCT_TIMES},
            "attributes": orjson.dumps(dict(product.attributes)).decode(),
        }
        for product in products
    ]
    return pl.DataFrame(made, schema=PRODUCT_COLUMNS)


@lru_cache
def _available(states: tuple[Availability, ...]) -> Mask:
    """By availability code, the last entry for GONE: is it one of `states`?"""
    table = np.zeros(len(AVAILABILITIES) + 1, np.bool_)
    table[[SALE[str(kind)] for kind in states]] = True
    return table


def _between(numbers: Floats, low: float | None, high: float | None) -> Mask:
    """Which numbers lie between these, inclusive; NaN never does. None: no bound."""
    return (numbers >= (-np.inf if low is None else low)) & (numbers <= (np.inf if high is None else high))


def _attributes(view: ProductsView, at: list[int], new: list[bool], texts: list[str]) -> dict[str, Column]:
    names = {name: column.names for name, column in view.attributes.items()}
    changes: dict[str, dict[int, int]] = {}
    # A product that had an attribute and has it no more: every column that knows its row.
    known = [row for row, fresh in zip(at, new, strict=True) if not fresh]
    if known:
        rows = np.array(known, np.int32)
        for name, column in view.attributes.items():
            had = rows[column.at(rows) >= 0].tolist()
            if had:
                changes[name] = dict.fromkeys(had, -1)
    for row, text in zip(at, texts, strict=True):
        if len(text) <= 2:
            continue
        for name, value in orjson.loads(text).items():
            if value is None or value == "":
                continue
            if name not in names:
                names[name] = Names()
            changes.setdefault(name, {})[row] = names[name].of(value)
    attributes = dict(view.attributes)
    for name, changed in changes.items():
        attributes[name] = attributes.get(name, Column(names[name], _NONE, _NONE)).with_(changed)
    return attributes
