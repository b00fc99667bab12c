"""The one contract of everything that recommends: sequences in, (ids, scores) out.

A network, a baseline and the engine's sources all keep it, so that one contract test
(tests/models/test_recommender.py) and one evaluation serve them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, Self, runtime_checkable

import numba
import numpy as np
import numpy.typing as npt
import polars as pl

from shelfwise.models.sequences import Floats, Ints, Longs, Sequences

#: Called with (done, total, one-line status) while something long runs.
Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Items:
    """What is known of the products themselves, row i for inside id i. Absent parts are None.

    text:     float32 [n, dt], unit rows, zero rows where a product has no text.
    image:    float32 [n, di], unit rows, zero rows where a product has no photo.
    pixels:   uint8 [n, h, w, 3], thumbnails, black where a product has no photo; there only when a model that learns
              from pixels is to be fitted.
    category: int32 [n], code of the deepest product_type, -1 unknown; category_names gives their text.
    brand:    int32 [n], code, -1 unknown.
    group:    int32 [n], code of the item_group_id, which variants of one product share; -1 for a product by itself.
    price:    float32 [n], NaN unknown.
    created:  int64 [n], seconds since 1970, 0 unknown.
    """

    n: int
    text: Floats | None = None
    image: Floats | None = None
    pixels: npt.NDArray[np.uint8] | None = None
    category: Ints | None = None
    category_names: tuple[str, ...] = ()
    brand: Ints | None = None
    brand_names: tuple[str, ...] = ()
    group: Ints | None = None
    group_names: tuple[str, ...] = ()
    price: Floats | None = None
    created: Longs | None = None


def items_of(products: pl.DataFrame, n: int) -> Items:
    """What a frame of PRODUCT_COLUMNS says of its products, in rows 0 to its height; n: rows, the others unknown."""
    category, category_names = _coded(products["product_type"], n)
    brand, brand_names = _coded(products["brand"], n)
    group, group_names = _coded(products["item_group_id"], n)
    price = np.full(n, np.nan, np.float32)
    price[: len(products)] = products["price"].cast(pl.Float32).fill_null(float("nan")).to_numpy()
    created: Longs = np.zeros(n, np.int64)
    created[: len(products)] = (products["created"].fill_null(0) // 1_000_000).to_numpy()
    return Items(
        n=n,
        category=category,
        category_names=category_names,
        brand=brand,
        brand_names=brand_names,
        group=group,
        group_names=group_names,
        price=price,
        created=created,
    )


def _coded(texts: pl.Series, n: int) -> tuple[Ints, tuple[str, ...]]:
    """Codes int32 [n] into the sorted distinct texts, -1 for "" and for products only events name."""
    names = texts.filter(texts != "").unique().sort()
    codes = np.full(n, -1, np.int32)
    if len(names):
        table = pl.Series(np.arange(len(names), dtype=np.int32))
        mapped = texts.replace_strict(names, table, default=-1, return_dtype=pl.Int32)
        codes[: len(texts)] = mapped.to_numpy()
    return codes, tuple(names)


@runtime_checkable
class Recommender(Protocol):
    """Fit on sequences, then score the whole catalogue for any sequences, seen before or not."""

    name: str

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn. `validation[i]` are the events of customer i that follow train's; used to stop and to
        choose, never to learn from. Deterministic for a given seed."""
        ...

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:
        """float32 [len(histories), n_items]; higher is better; -inf means no candidate.

        now: int64 [len(histories)], seconds: when each answer is asked for (default: the time of the last
        event fitted on). Callers batch: memory is 4 · len(histories) · n_items bytes.
        """
        ...


def top_k(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """Best k per row, best first: (ids int32 [b, k], scores float32 [b, k]).

    Ties go to the smaller id. Where fewer than k have a score above -inf, the rest of ids is -1.
    """
    return _top_k(np.ascontiguousarray(scores, np.float32), min(k, scores.shape[1]))


@numba.njit(cache=True, nogil=True)
def _top_k(scores: Floats, k: int) -> tuple[Ints, Floats]:
    """One pass with the best so far in order: a tenth of the time of partitioning a catalogue for a dozen of it."""
    ids = np.full((len(scores), k), -1, np.int32)
    best = np.full((len(scores), k), -np.inf, np.float32)
    if k == 0:
        return ids, best
    for row in range(len(scores)):
        worst = -np.inf
        for item in range(scores.shape[1]):
            score = scores[row, item]
            if score > worst:
                place = k - 1
                while place > 0 and best[row, place - 1] < score:
                    best[row, place], ids[row, place] = best[row, place - 1], ids[row, place - 1]
                    place -= 1
                best[row, place], ids[row, place] = score, item
                worst = best[row, k - 1]
    return ids, best


def recommend(
    model: Recommender,
    histories: Sequences,
    k: int,
    *,
    now: Longs | None = None,
    exclude_seen: bool = False,
    batch: int = 64,
) -> tuple[Ints, Floats]:
    """Top k of the whole catalogue for each history: (ids int32 [n, k], scores float32 [n, k])."""
    return recommend_both(model, histories, k, (exclude_seen,), now=now, batch=batch)[0]


def recommend_both(
    model: Recommender,
    histories: Sequences,
    k: int,
    excluding: Sequence[bool],
    *,
    now: Longs | None = None,
    batch: int = 64,
) -> list[tuple[Ints, Floats]]:
    """`recommend` for each of these values of `exclude_seen`, the catalogue scored once for all."""
    nothing = np.empty((0, k), np.int32), np.empty((0, k), np.float32)
    answers: list[list[tuple[Ints, Floats]]] = [[] for _ in excluding]
    for start in range(0, len(histories), batch):
        part = histories.select(slice(start, min(start + batch, len(histories))))
        scores = model.scores(part, now=None if now is None else now[start : start + batch])
        for lists, exclude_seen in zip(answers, excluding, strict=True):
            allowed = scores
            if exclude_seen:
                allowed = scores.copy()
                allowed[np.repeat(np.arange(len(part)), part.lengths()), part.item] = -np.inf
            lists.append(top_k(allowed, k))
    return [
        (np.concatenate([ids for ids, _ in lists]), np.concatenate([best for _, best in lists])) if lists else nothing
        for lists in answers
    ]
