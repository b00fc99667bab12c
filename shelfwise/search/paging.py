"""Order, groups and pages of what was found.

A page token says what was shown, not where the page ended: the next page is the best of what was not shown yet. So no
product comes twice and none is lost, also when products, clicks or the asker's state change between two pages.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from shelfwise.catalogue.products import ProductsView
from shelfwise.errors import InvalidRequest
from shelfwise.models.sequences import Floats, Ints
from shelfwise.search.request import SearchRequest

_DEEPEST = 10_000  # products shown through page tokens


@dataclass(frozen=True, slots=True)
class Page:
    """items: (row, score, rows of its other variants), best first. total: products (or groups) found in all."""

    items: list[tuple[int, float, list[int]]]
    total: int
    after: str


def page(view: ProductsView, request: SearchRequest, rows: Ints, scores: Floats) -> Page:
    """The page of a request among the rows [m] that passed its filters, best first, with their scores float32 [m].

    Raises InvalidRequest for a token of another search.
    """
    mark = _mark(request)
    seen = _seen(request.after, mark)
    units = view.units(rows) if request.group else -1 - rows.astype(np.int64)
    unique, first, unit = np.unique(units, return_index=True, return_inverse=True)
    lead = np.sort(first)  # the best row of each group, best group first
    if len(seen):
        lead = lead[~np.isin(_hashes(view, rows[lead], request.group), seen)]
    shown = lead[: request.k]
    items = []
    for place in shown.tolist():
        others = rows[unit == unit[place]].tolist()[1:] if units[place] >= 0 else []
        items.append((int(rows[place]), float(scores[place]), others))
    after = ""
    if len(lead) > len(shown) and len(seen) + len(shown) < _DEEPEST:
        after = _token(mark, np.concatenate((seen, _hashes(view, rows[shown], request.group))))
    return Page(items, len(unique), after)


def order(view: ProductsView, sort: str, rows: Ints, scores: Floats, sold: Floats) -> npt.NDArray[np.intp]:
    """Positions of rows [m] best first by one of request.SORTS; ties by relevance, then by row.

    scores: float32 [m], how relevant. sold: float32, by row, what was sold of it; it may be shorter than the catalogue.
    """
    if sort in ("price", "price_desc"):
        price = view.price[rows] * (1 if sort == "price" else -1)
        return np.lexsort((rows, -scores, price))  # NaN, unknown, sorts last
    if sort == "newest":
        return np.lexsort((rows, -scores, -view.created[rows]))
    if sort == "best_selling" and len(sold):
        known = np.where(rows < len(sold), sold[np.minimum(rows, len(sold) - 1)], 0)
        return np.lexsort((rows, -scores, -known))
    return np.lexsort((rows, -scores))


def _hashes(view: ProductsView, rows: Ints, group: bool) -> npt.NDArray[np.uint32]:
    """What a shown product (its group, where grouped) is remembered by: uint32 [m]."""
    return np.fromiter((zlib.crc32(_name(view, row, group).encode()) for row in rows.tolist()), np.uint32, len(rows))


def _name(view: ProductsView, row: int, group: bool) -> str:
    code = int(view.group[row]) if group else -1
    return f"group {view.groups.names[code]}" if code >= 0 else view.ids[row]


def _mark(request: SearchRequest) -> int:
    """What makes it the same search, whatever the page."""
    filters = request.filters
    asked_for = (
        request.query.casefold(),
        request.sort,
        request.group,
        sorted(request.undo),
        filters.availability,
        sorted(filters.categories),
        sorted(filters.brands),
        filters.price_min,
        filters.price_max,
        sorted((name, sorted(map(str, values))) for name, values in filters.attributes.items()),
        sorted(filters.ranges.items(), key=str),
    )
    return zlib.crc32(repr(asked_for).encode())


def _token(mark: int, shown: npt.NDArray[np.uint32]) -> str:
    numbers = np.concatenate((np.array([mark], np.uint32), shown)).astype("<u4").tobytes()
    return base64.urlsafe_b64encode(numbers).decode().rstrip("=")


def _seen(token: str, mark: int) -> npt.NDArray[np.uint32]:
    if not token:
        return np.empty(0, np.uint32)
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        numbers = np.frombuffer(raw, "<u4")
    except (binascii.Error, ValueError):
        raise InvalidRequest("after", "is no page token; send the `after` of the page before") from None
    if len(numbers) == 0 or int(numbers[0]) != mark:
        raise InvalidRequest("after", "belongs to another search; start again without it")
    return numbers[1:].astype(np.uint32)
