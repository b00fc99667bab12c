"""Columns of all products: filters, facets, sorts and groups over rows.

A product keeps its row as long as this process knows it; rows of deleted products are GONE. Readers take
`Documents.view`, an immutable snapshot; a writer prepares the next one and swaps it in.

Attributes are kept sparse: of each name the rows that have it and the codes of their values. A value "a | b" (a list in
the feed) is one code that counts as both.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import orjson
import polars as pl

from shelfwise.engine.request import Filters
from shelfwise.models.sequences import Floats, Ints, Longs
from shelfwise.schema import PRODUCT_COLUMNS, Availability, Product, to_micros
from shelfwise.search.columns import LISTED, Column, Mask, Names, shown
from shelfwise.search.request import FACETS, Facet, SearchFilters, Value

_T = TypeVar("_T", bound=np.generic)
GONE = -1  # availability code of a product that is not in the catalogue
LEVELS = " > "
MOST_VALUES = 100  # of a facet
_AVAILABILITIES = tuple(Availability)
SALE = {str(kind): code for code, kind in enumerate(_AVAILABILITIES)}


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DocumentsView:
    """One consistent state of the catalogue. Arrays are [n]; do not write to them.

    sale: availability code, GONE when not in the catalogue. price: NaN unknown. brand, category: codes, -1 unknown.
    created: seconds, 0 unknown. group: code of the item_group_id, -1 for a product by itself.
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
    brands: Names
    categories: Names
    groups: Names
    attributes: dict[str, Column]
    _masks: dict[Any, Mask] = field(default_factory=dict)

    def row(self, product: str) -> int | None:
        """The row of a product in the catalogue, None when there is none."""
        row = self.rows.get(product)
        return None if row is None or row >= self.n or self.sale[row] == GONE else row

    def all(self) -> Ints:
        """Every row, int32 [n]."""
        return np.arange(self.n, dtype=np.int32)

    def live(self) -> Ints:
        """Rows in the catalogue, whatever their availability."""
        return np.flatnonzero(self.sale != GONE).astype(np.int32)

    def brand_name(self, row: int) -> str:
        code = int(self.brand[row])
        return str(self.brands.names[code]) if code >= 0 else ""

    def attribute(self, row: int, name: str) -> Value | None:
        column = self.attributes.get(name)
        if column is None:
            return None
        code = int(column.at(np.array([row], np.int32))[0])
        return column.names.names[code] if code >= 0 else None

    def masks(self, filters: Filters, rows: Ints) -> dict[str, Mask]:
        """For each filter that was given, by the facet it narrows: which of these rows [m] pass it. Availability and
        exclusions stand under "availability" and ""."""
        sale = self.sale[rows]
        masks: dict[str, Mask] = {}
        if filters.availability is None:
            masks["availability"] = sale != GONE
        else:
            table = np.zeros(len(_AVAILABILITIES) + 1, np.bool_)
            table[[SALE[str(kind)] for kind in filters.availability]] = True
            masks["availability"] = table[sale]
        if filters.categories:
            masks["category"] = self.having("category", filters.categories, rows)
        if filters.brands:
            masks["brand"] = self.having("brand", filters.brands, rows)
        if filters.price_min is not None or filters.price_max is not None:
            low = -np.inf if filters.price_min is None else filters.price_min
            high = np.inf if filters.price_max is None else filters.price_max
            price = self.price[rows]
            masks["price"] = (price >= low) & (price <= high)
        if filters.exclude:
            excluded = [row for product in filters.exclude if (row := self.rows.get(product)) is not None]
            masks[""] = ~np.isin(rows, excluded)
        if isinstance(filters, SearchFilters):
            for name, values in filters.attributes.items():
                mask = self.having(name, values, rows) if name not in FACETS else np.zeros(len(rows), np.bool_)
                masks[name] = masks[name] & mask if name in masks else mask
            for name, (low_, high_) in filters.ranges.items():
                column = self.attributes.get(name)
                if column is None:
                    masks[name] = np.zeros(len(rows), np.bool_)
                    continue
                numbers = column.numbers()[column.at(rows)]
                mask = ~np.isnan(numbers)
                if low_ is not None:
                    mask &= numbers >= low_
                if high_ is not None:
                    mask &= numbers <= high_
                masks[name] = masks[name] & mask if name in masks else mask
        return masks

    def availability(self, row: int) -> Availability:
        """Of a row in the catalogue."""
        return _AVAILABILITIES[int(self.sale[row])]

    def allowed(self, filters: Filters, rows: Ints) -> Mask:
        """Which of these rows [m] pass all filters: bool [m]."""
        return _all(self.masks(filters, rows).values(), len(rows))

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

    def facets(self, names: Sequence[str], masks: Mapping[str, Mask], rows: Ints, *, group: bool = True) -> list[Facet]:
        """Values of the products found (rows [m], before filters), counted under every filter but the facet's own.
        masks: by facet, which rows pass its filter (see `masks`)."""
        made = []
        for name in names:
            kept = rows[_all((mask for facet, mask in masks.items() if facet != name), len(rows))]
            # A facet of availability still leaves out what is not in the catalogue.
            kept = kept[self.sale[kept] != GONE]
            made.append(self._facet(name, kept, group))
        return made

    def units(self, rows: Ints) -> Longs:
        """What counts as one product: rows of one group share a number. int64 [m]."""
        groups = self.group[rows].astype(np.int64)
        return np.where(groups >= 0, groups, -1 - rows.astype(np.int64))

    def _facet(self, name: str, rows: Ints, group: bool) -> Facet:
        units = self.units(rows) if group and len(self.groups) else np.arange(len(rows), dtype=np.int64)
        if name == "price":
            price = self.price[rows]
            price = price[~np.isnan(price)]
            if not len(price):
                return Facet(name=name)
            return Facet(name=name, low=float(price.min()), high=float(price.max()), values=_bins(price))
        if name == "availability":
            return Facet(name=name, values=_top(_tally(self.sale[rows].astype(np.int32), units), list(_AVAILABILITIES)))
        if name == "brand":
            return Facet(name=name, values=_top(_tally(self.brand[rows], units), self.brands.names))
        if name == "category":
            return Facet(name=name, values=_merged(self._paths(rows, units)))
        column = self.attributes.get(name)
        if column is None:
            return Facet(name=name)
        codes = column.at(rows)
        counts = _tally(codes, units)
        numbers = column.numbers()[codes]
        numbers = numbers[~np.isnan(numbers)]
        if len(numbers) and len(numbers) * 2 > len(rows[codes >= 0]):
            low, high = float(numbers.min()), float(numbers.max())
            return Facet(name=name, low=low, high=high, values=_top(counts, column.names.names))
        parts: dict[Value, int] = {}
        for code, count in counts.items():
            value = column.names.names[code]
            for part in value.split(LISTED) if isinstance(value, str) else (value,):
                parts[part] = parts.get(part, 0) + count
        return Facet(name=name, values=_merged(parts))

    def _paths(self, rows: Ints, units: Longs) -> dict[Value, int]:
        """Products by category, each counted in its category and in all above."""
        counts: dict[Value, int] = {}
        for code, count in _tally(self.category[rows], units).items():
            levels = str(self.categories.names[code]).split(LEVELS)
            for depth in range(len(levels)):
                path = LEVELS.join(levels[: depth + 1])
                counts[path] = counts.get(path, 0) + count
        return counts

    def _table(self, kind: str, values: tuple[str, ...]) -> Mask:
        """bool [names + 1]: is this brand, or this category or one below it, among the values?"""
        names = self.brands if kind == "brand" else self.categories
        key = (kind, values, len(names))
        table = self._masks.get(key)
        if table is None:
            wanted = [value.casefold() for value in values]
            table = np.zeros(len(names) + 1, np.bool_)
            for code, name in enumerate(names.names[: len(table) - 1]):
                path = str(name).casefold()
                table[code] = path in wanted or (
                    kind == "category" and any(path.startswith(each + LEVELS) for each in wanted)
                )
            if len(self._masks) < 256:
                self._masks[key] = table
        return table


class Documents:
    """All products by row. Any number of readers through `view`; writers take turns."""

    def __init__(self, frame: pl.DataFrame | None = None) -> None:
        self._writing = threading.Lock()
        empty = np.empty(0, np.int32)
        self.view = DocumentsView(
            n=0,
            ids=[],
            titles=[],
            descriptions=[],
            rows={},
            sale=np.empty(0, np.int8),
            price=np.empty(0, np.float32),
            brand=empty,
            category=empty,
            created=np.empty(0, np.int64),
            group=empty,
            brands=Names(),
            categories=Names(),
            groups=Names(),
            attributes={},
        )
        if frame is not None:
            self.upsert(frame)

    def __len__(self) -> int:
        """Products in the catalogue."""
        return int(np.count_nonzero(self.view.sale != GONE))

    def upsert(self, frame: pl.DataFrame) -> Ints:
        """Add or replace products (PRODUCT_COLUMNS); their rows."""
        if not frame.height:
            return np.empty(0, np.int32)
        with self._writing:
            self.view, rows = _with(self.view, frame)
        return rows

    def delete(self, products: Iterable[str]) -> Ints:
        """Take products out; the rows of those that were there."""
        with self._writing:
            view = self.view
            gone = np.array([row for name in products if (row := view.row(name)) is not None], np.int32)
            if len(gone):
                sale = view.sale.copy()
                sale[gone] = GONE
                self.view = _replaced(view, sale=sale)
        return gone


def _with(view: DocumentsView, frame: pl.DataFrame) -> tuple[DocumentsView, Ints]:
    ids, rows = view.ids, view.rows
    # Names are only appended or set in place: an older view stops at its own n.
    at = np.empty(frame.height, np.int32)
    new: list[bool] = []
    for place, name in enumerate(frame["id"].to_list()):
        row = rows.get(name)
        new.append(row is None)
        if row is None:
            row = len(ids)
            ids.append(name)
            view.titles.append("")
            view.descriptions.append("")
            rows[name] = row
        at[place] = row
    n = len(ids)
    listed = at.tolist()
    for row, title, description in zip(listed, frame["title"].to_list(), frame["description"].to_list(), strict=True):
        view.titles[row] = title
        view.descriptions[row] = description
    columns: dict[str, npt.NDArray[Any]] = {
        "sale": _grown(view.sale, n, GONE),
        "price": _grown(view.price, n, np.nan),
        "brand": _grown(view.brand, n, -1),
        "category": _grown(view.category, n, -1),
        "created": _grown(view.created, n, 0),
        "group": _grown(view.group, n, -1),
    }
    columns["sale"][at] = [SALE[name] for name in frame["availability"].to_list()]
    columns["price"][at] = frame["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    columns["brand"][at] = [view.brands.of(name) for name in frame["brand"].to_list()]
    columns["category"][at] = [view.categories.of(name) for name in frame["product_type"].to_list()]
    columns["created"][at] = (frame["created"].fill_null(0) // 1_000_000).to_numpy()
    columns["group"][at] = [view.groups.of(name) for name in frame["item_group_id"].to_list()]
    attributes = _attributes(view, listed, new, frame["attributes"].to_list())
    return _replaced(view, n=n, attributes=attributes, **columns), at


def _attributes(view: DocumentsView, at: list[int], new: list[bool], texts: list[str]) -> dict[str, Column]:
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


_NONE = np.empty(0, np.int32)


def _grown(values: npt.NDArray[_T], n: int, fill: float) -> npt.NDArray[_T]:
    result = np.full(n, fill, values.dtype)
    result[: len(values)] = values
    return result


def _replaced(view: DocumentsView, **changes: object) -> DocumentsView:
    fields = {name: getattr(view, name) for name in DocumentsView.__slots__ if name != "_masks"}
    return DocumentsView(**(fields | changes))


def _all(masks: Iterable[Mask], n: int) -> Mask:
    kept = np.ones(n, np.bool_)
    for mask in masks:
        kept &= mask
    return kept


def _tally(codes: Ints, units: Longs) -> dict[int, int]:
    """Code → units that have it; -1 left out."""
    there = codes >= 0
    codes, units = codes[there], units[there]
    if not len(codes):
        return {}
    if (len(units) and units.min() < 0) or len(np.unique(units)) < len(units):
        order = np.lexsort((units, codes))
        codes, units = codes[order], units[order]
        first = np.r_[True, (codes[1:] != codes[:-1]) | (units[1:] != units[:-1])]
        codes = codes[first]
    values, counts = np.unique(codes, return_counts=True)
    return dict(zip(values.tolist(), counts.tolist(), strict=True))


def _top(counts: Mapping[int, int], names: Sequence[Value]) -> tuple[tuple[Value, int], ...]:
    return _merged({names[code]: count for code, count in counts.items()})


def _merged(counts: Mapping[Value, int]) -> tuple[tuple[Value, int], ...]:
    """Most first, ties by name; letter case makes no other value."""
    merged: dict[str, tuple[Value, int]] = {}
    for value, count in counts.items():
        key = shown(value).casefold()
        kept = merged.get(key)
        if kept is None:
            merged[key] = (value, count)
        else:
            merged[key] = (value if count > kept[1] else kept[0], count + kept[1])
    return tuple(sorted(merged.values(), key=lambda pair: (-pair[1], shown(pair[0])))[:MOST_VALUES])


def _bins(price: Floats) -> tuple[tuple[Value, int], ...]:
    """Prices in up to six steps at round amounts: (lower end, how many)."""
    low, high = float(price.min()), float(price.max())
    if high <= low:
        return ((low, len(price)),)
    ordered = np.sort(price)
    edges = sorted({_round(float(ordered[len(ordered) * step // 6])) for step in range(1, 6)})
    edges = [edge for edge in edges if low < edge <= high]
    starts = [low, *edges]
    places = np.searchsorted(ordered, np.array(starts, np.float32)).tolist()
    return tuple((start, end - at) for start, at, end in zip(starts, places, [*places[1:], len(price)], strict=True))


def _round(amount: float) -> float:
    """To one or two leading digits: 1, 2, 5, 10, 15, 20, …"""
    if amount <= 0:
        return 0.0
    step = 10 ** np.floor(np.log10(amount)) / 2
    return float(np.round(amount / step) * step)


def frame_of(products: Sequence[Product]) -> pl.DataFrame:
    """PRODUCT_COLUMNS of products."""
    made = [
        {
            name: getattr(product, name)
            for name in PRODUCT_COLUMNS
            if name not in ("attributes", "created", "availability", "status", "sale_start", "sale_end")
        }
        | {
            "availability": str(product.availability),
            "status": str(product.status),
            **{
                name: None if (time := getattr(product, name)) is None else to_micros(time)
                for name in ("created", "sale_start", "sale_end")
            },
            "attributes": orjson.dumps(dict(product.attributes)).decode(),
        }
        for product in products
    ]
    return pl.DataFrame(made, schema=PRODUCT_COLUMNS)
