"""Products like the newest ones, by texts and photos."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from shelfwise.catalogue.variants import first_of_group
from shelfwise.engine.catalogue import View
from shelfwise.engine.context import RECENT, Context
from shelfwise.engine.kernels import nearness
from shelfwise.engine.retrieve.history import EVENTS, nearest, searched
from shelfwise.engine.retrieve.source import NO_ROWS, SCANNED, Candidates, Reason, Source, top
from shelfwise.engine.state import SEARCH
from shelfwise.models.alike import NEAR
from shelfwise.models.index import CELLS_ALIKE
from shelfwise.models.sequences import Floats, Ints

_MOST, _MOST_NEW = 10, 30  # of each product; the second where what is new is wanted, or what is like it
_MOST_WITHIN = 60  # inside narrow filters, by the whole history
_HISTORY, _HIGHEST = 20, 5  # newest distinct products, and how many of their cosines count
_ASKED = 3  # newest products whose most alike are proposed
_FADES = 0.8 ** np.arange(RECENT, dtype=np.float32)
_LIKES_KEPT = 50_000
_OF_ONE_CONTENT = 64  # most popular products of one content, one of which may be shown
#: Of 92,000 products with 20,000 contents these hold 97% of the best 46 contents; 4 cells 89%, 32 98%.
_CELLS_OF_KIND = 16
_SORTED = 2_000  # nearest inside filters, among which variants are told


class Content(Source):
    """Cosine of content vectors (`models/content.py`)."""

    name = "content"
    artefact = "content"
    features = (
        "content",  # highest cosine with one of the newest products, each step back counting less
        "content_newest",  # cosine with the newest product
        "content_history",  # mean of the highest cosines with the history's newest products
        "content_taste",  # what the whole history says of the content (`models/taste.py`)
    )
    texts = {
        "en": {"like": "Similar to {title}", "search": EVENTS["en"]["search"]},
        "zh": {"like": "与“{title}”相似", "search": EVENTS["zh"]["search"]},
    }

    def retrieve(self, context: Context) -> Ints:
        view = context.view
        if view.content is None or view.content_index is None or not len(context.recent):
            return NO_ROWS
        if context.question == "similar":
            rows = context.visible(of_kind(view, int(context.recent[0]), _MOST_NEW + 2 * context.request.k))
            rows = rows[view.allowed(context.request.filters.shared(), rows)]
            return _apart(context, rows)[: _MOST_NEW + 2 * context.request.k]
        wide = context.request.exclude_purchased or context.question != "home"
        most = _MOST_NEW if wide else _MOST
        proposed = [alike(view, int(row), most) for row in context.recent[:_ASKED]]
        return context.visible(np.concatenate(proposed))

    def retrieve_within(self, context: Context, rows: Ints) -> Ints:
        content = context.view.content
        if content is None or not len(context.recent) or len(rows) > SCANNED:
            return NO_ROWS
        held = content[rows]
        taste = self._taste(context)
        newest = held @ content[context.recent[0]]
        if context.question == "similar":
            near = top(newest, _SORTED)
            return _apart(context, rows[near[np.argsort(-newest[near], kind="stable")]])[:_MOST_WITHIN]
        whole = held @ (content[self._history(context)].mean(axis=0) if taste is None else taste)
        return np.concatenate((rows[top(newest, _MOST_NEW)], rows[top(whole, _MOST_WITHIN)]))

    def compute(self, context: Context, candidates: Candidates, columns: Floats) -> None:
        content = context.view.content
        if content is None or not len(context.recent):
            return
        history = self._history(context)
        held, taste = context.scratch.gather(content, candidates.rows), self._taste(context)
        if taste is not None:
            columns[3] = held @ taste
        nearness(held @ content[history].T, _FADES[: len(context.recent)], _HIGHEST, columns)

    def _taste(self, context: Context) -> Floats | None:
        """The vector whose dot product with a product's content says how well it fits; None where none is learned."""

        def made() -> Floats | None:
            taste, content = self.bundle.taste, context.view.content
            if taste is None or content is None:
                return None
            return taste.of(context.items, context.times, context.now, content)

        return context.once((Content, "taste"), made)

    @staticmethod
    def _history(context: Context) -> Ints:
        """The newest distinct products, newest first: those of `context.recent`, then more."""

        def made() -> Ints:
            more = context.items[: -4 * _HISTORY - 1 : -1].tolist()
            return np.array(list(dict.fromkeys([*context.recent.tolist(), *more]))[:_HISTORY], np.int32)

        return context.once((Content, "history"), made)

    def reason(self, context: Context, row: int, values: Mapping[str, float]) -> Reason | None:
        place = nearest(context, row, context.view.content)
        if place >= 0 and context.kinds[place] == SEARCH:
            return searched(context, int(context.items[place]))
        return None if place < 0 else Reason("like", row=int(context.items[place]))


def alike(view: View, row: int, k: int) -> Ints:
    """Products most like this one by content, itself left out, best first: int32 [k or fewer]."""
    assert view.content is not None
    query = view.content[row]
    if not query.any():
        return NO_ROWS
    hits = _indexed(view, row, k)
    return _with_late(view, row, hits[(hits >= 0) & (hits != row)], k)


def of_kind(view: View, row: int, k: int) -> Ints:
    """The products of the k contents most like this one's, itself left out, best first: int32. Where many have one
    text, the k nearest products would be variants of this one, and nothing else of its kind."""
    assert view.content is not None
    assert view.content_index is not None
    assert view.contents is not None
    query = view.content[row]
    if not query.any():
        return NO_ROWS
    heads = view.content_index.search(query[None], k + 1, allowed=view.contents.head, cells=_CELLS_OF_KIND)[0][0]
    rows = view.contents.products(heads[heads >= 0], _OF_ONE_CONTENT)
    return _with_late(view, row, rows[rows != row], view.n)


def _apart(context: Context, rows: Ints) -> Ints:
    """Of these rows, best first, no more variants of one product than may be shown."""
    most = context.request.variants
    return rows[first_of_group(context.view.variant[rows], most)] if most else rows


def _with_late(view: View, row: int, rows: Ints, k: int) -> Ints:
    """The best k of these indexed rows, best first, and of those that the index does not know yet."""
    assert view.content is not None
    if view.n == view.indexed and not len(view.changed):
        return rows[:k]
    query, late = view.content[row], view.scanned()
    rows = np.concatenate((rows[~np.isin(rows, view.changed)], late[late != row]))
    scores = view.content[rows] @ query
    best = top(scores, k)
    return np.asarray(rows[best[np.argsort(-scores[best], kind="stable")]], np.int32)


def _indexed(view: View, row: int, k: int) -> Ints:
    """What the index finds for a product's content: at least k + 1 rows, best first, -1 for no more."""
    assert view.content is not None
    assert view.content_index is not None
    if view.alike is not None and k < NEAR and not np.any(view.changed == row):
        rows = view.alike.of(row)
        if rows is not None:
            return rows
    query = view.content[row]
    key = query.tobytes()  # products with the same text share an answer
    rows = view.likes.get(key)
    if rows is None or len(rows) <= k:
        rows = view.content_index.search(query[None], k + 1, cells=CELLS_ALIKE)[0][0].astype(np.int32)
        if len(view.likes) >= _LIKES_KEPT:
            view.likes.clear()
        view.likes[key] = rows
    return rows
