"""Which event of a history a reason names, and in which words."""

from __future__ import annotations

import numpy as np

from shelfwise.engine.context import Context
from shelfwise.engine.retrieve.source import Reason
from shelfwise.engine.state import SEARCH
from shelfwise.models.sequences import Floats
from shelfwise.schema import EventType

_EVENTS = 20  # newest events that a reason of likeness may name
_KINDS = tuple(map(str, EventType))
EVENTS = {
    "en": {
        "view_item": "Because you viewed {title}",
        "select_item": "Because you viewed {title}",
        "add_to_cart": "Because you put {title} in your cart",
        "purchase": "Because you bought {title}",
        "add_to_wishlist": "Because you wished for {title}",
        "rate": "Because you rated {title}",
        "search": "Because you searched for {title}",
        "goes_with": "Goes with {title}",
    },
    "zh": {
        "view_item": "因为您浏览过“{title}”",
        "select_item": "因为您浏览过“{title}”",
        "add_to_cart": "因为您把“{title}”加入了购物车",
        "purchase": "因为您购买过“{title}”",
        "add_to_wishlist": "因为您收藏了“{title}”",
        "rate": "因为您评价过“{title}”",
        "search": "因为您搜索过“{title}”",
        "goes_with": "与“{title}”搭配",
    },
}


def named(context: Context, place: int) -> Reason | None:
    """The reason that names the event at this place of the history; None for -1."""
    if place < 0:
        return None
    item = int(context.items[place])
    if place >= len(context.items) - context.seeds:
        return Reason("goes_with", row=item)
    if context.kinds[place] == SEARCH:
        return searched(context, item)
    kind = _KINDS[int(context.kinds[place])]
    return Reason(kind if kind in EVENTS["en"] else "view_item", row=item)


def searched(context: Context, row: int) -> Reason | None:
    """The newest search that found this row."""
    query = next((search.query for search in context.searches if row in search.rows), "")
    return Reason("search", query=query) if query else None


def nearest(context: Context, row: int, vectors: Floats | None) -> int:
    """The place of the newest event with the most similar product by these vectors; -1 for none."""
    if vectors is None or not len(context.items):
        return -1
    items = context.items[-_EVENTS:]
    had = context.once((nearest, id(vectors)), lambda: _unit(vectors[items]))
    cosine = had @ vectors[row]
    cosine[items == row] = -np.inf
    newest = len(items) - 1 - int(cosine[::-1].argmax())
    return len(context.items) - len(items) + newest if cosine[newest] > 0 else -1


def _unit(vectors: Floats) -> Floats:
    """Rows of length one, zero rows as they are."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.where(length > 0, length, 1), np.float32)
