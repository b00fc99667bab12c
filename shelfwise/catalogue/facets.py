"""Facets: the values of the products found, counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from shelfwise.catalogue.columns import LISTED, Mask, shown
from shelfwise.catalogue.filters import Value
from shelfwise.catalogue.products import AVAILABILITIES, GONE, LEVELS, ProductsView, passing
from shelfwise.models.sequences import Floats, Ints, Longs

MOST_VALUES = 100  # of a facet


@dataclass(frozen=True, kw_only=True, slots=True)
class Facet:
    """Values with how many products found have them, most first; of numbers also the lowest and highest found."""

    name: str
    values: tuple[tuple[Value, int], ...] = ()
    low: float | None = None
    high: float | None = None


def facets_of(
    view: ProductsView, names: Sequence[str], masks: Mapping[str, Mask], rows: Ints, *, group: bool = True
) -> list[Facet]:
    """Values of the products found (rows [m], before filters), counted under every filter but the facet's own.

    masks: by facet, which rows pass its filter (ProductsView.masks). group: variants of one group count once."""
    made = []
    for name in names:
        kept = rows[passing((mask for facet, mask in masks.items() if facet != name), len(rows))]
        # A facet of availability still leaves out what is not in the catalogue.
        kept = kept[view.sale[kept] != GONE]
        made.append(_facet(view, name, kept, group))
    return made


def _facet(view: ProductsView, name: str, rows: Ints, group: bool) -> Facet:
    units = view.units(rows) if group and len(view.groups) else np.arange(len(rows), dtype=np.int64)
    if name == "price":
        price = view.price[rows]
        price = price[~np.isnan(price)]
        if not len(price):
            return Facet(name=name)
        return Facet(name=name, low=float(price.min()), high=float(price.max()), values=_bins(price))
    if name == "availability":
        return Facet(name=name, values=_top(_tally(view.sale[rows].astype(np.int32), units), list(AVAILABILITIES)))
    if name == "brand":
        return Facet(name=name, values=_top(_tally(view.brand[rows], units), view.brands.names))
    if name == "category":
        return Facet(name=name, values=_merged(_paths(view, rows, units)))
    column = view.attributes.get(name)
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


def _paths(view: ProductsView, rows: Ints, units: Longs) -> dict[Value, int]:
    """Products by category, each counted in its category and in all above."""
    counts: dict[Value, int] = {}
    for code, count in _tally(view.category[rows], units).items():
        levels = str(view.categories.names[code]).split(LEVELS)
        for depth in range(len(levels)):
            path = LEVELS.join(levels[: depth + 1])
            counts[path] = counts.get(path, 0) + count
    return counts


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
