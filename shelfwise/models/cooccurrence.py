"""Directed, windowed, recency-weighted item-to-item co-occurrence: the item-kNN of sequences.

An item j that comes `distance` steps after an item i in a customer's sequence adds 1 / distance to the
weight i → j and `backward` / distance to j → i. A history is answered by the neighbours of its newest items,
each step back counting half; what was bought at the same moment is one step, for a basket has no order. Weights are
deliberately not divided by the popularity of the neighbour: what often follows is a good guess, and a cosine, which
makes rare pairs strong, lost a quarter of NDCG@10 on Amazon Beauty. The popularity of the item that asks divides a
little, since a product that everybody buys tells less.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt
import scipy

from shelfwise.models.kernels import weakest
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, Ints, Longs, Sequences, steps_back

#: The share of the weakest possible neighbour that popularity adds: it orders ties, and never wins over a pair.
_TIE = 1e-4
#: Newest events of a history that are answered.
READ = 30


class Cooccurrence:
    """Item-kNN over sequences (a Recommender). The defaults were tuned on the validation items of Amazon Beauty.

    window: how many steps apart two events still count as a pair.
    backward: weight of a pair against the direction of time, relative to with it; 1 is symmetric.
    decay: weight of each step back in the history that asks.
    neighbours: most neighbours kept per item, the strongest; bounds memory on long histories.
    specific: exponent of the popularity of the asking item that divides its weights; 0 is none.
    normalise: the same for the neighbour; 0.5 in both is the cosine.

    After `fit` the neighbours of item i are `ids[indptr[i]:indptr[i + 1]]` with `weights` in the same rows:
    indptr int64 [n + 1], ids int32, weights float32, the strongest neighbour first.
    """

    name = "item-knn"

    def __init__(
        self,
        *,
        window: int = 5,
        backward: float = 0.15,
        decay: float = 0.5,
        neighbours: int = 100,
        specific: float = 0.25,
        normalise: float = 0.0,
    ) -> None:
        self.window = window
        self.backward = backward
        self.decay = decay
        self.neighbours = neighbours
        self.specific = specific
        self.normalise = normalise
        self.indptr = np.zeros(1, np.int64)
        self.ids = np.empty(0, np.int32)
        self.weights = np.empty(0, np.float32)
        self._popular = np.empty(0, np.float32)
        self._count = np.empty(0, np.float32)

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,  # noqa: ARG002 - nothing is chosen here
        progress: Progress | None = None,
    ) -> Self:
        """Count pairs; linear in events times `window`."""
        count = np.bincount(train.item, minlength=items.n).astype(np.float32)
        common = np.maximum(count, 1)
        self.indptr, self.ids, self.weights = neighbours(
            train,
            items.n,
            window=self.window,
            backward=self.backward,
            most=self.neighbours,
            share=common ** np.float32(-self.normalise),
        )
        self.weights *= np.repeat(common ** np.float32(-self.specific), np.diff(self.indptr))
        self._count = count
        weakest = float(self.weights.min()) if len(self.weights) else 1.0
        self._popular = (count / max(float(count.max(initial=0.0)), 1.0) * (weakest * _TIE)).astype(np.float32)
        if progress is not None:
            progress(1, 1, f"{len(self.ids):,} neighbours of {items.n:,} items")
        return self

    def commonness(self, n: int) -> Floats:
        """What divides the weights of each of n items that ask, float32 [n]; 1 for items not learned."""
        divisor = np.ones(n, np.float32)
        m = min(n, len(self._count))
        divisor[:m] = np.maximum(self._count[:m], 1) ** np.float32(self.specific)
        return divisor

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:  # noqa: ARG002 - no clock here
        """float32 [len(histories), n_items]: decayed sum of the neighbours of the newest items."""
        n = len(self.indptr) - 1
        recent = histories.last(READ)
        fades = np.float32(self.decay) ** steps_back(recent).astype(np.float32)
        history = scipy.sparse.csr_array((fades, recent.item, recent.offsets), shape=(len(recent), n))
        graph = scipy.sparse.csr_array((self.weights, self.ids, self.indptr), shape=(n, n))
        scores: Floats = (history @ graph).toarray().astype(np.float32, copy=False)
        scores += self._popular
        return scores

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """Everything learned and set, as arrays for a bundle."""
        dials = (self.window, self.backward, self.decay, self.neighbours, self.specific, self.normalise)
        return {
            "indptr": self.indptr,
            "ids": self.ids,
            "weights": self.weights,
            "popular": self._popular,
            "count": self._count,
            "dials": np.array(dials, np.float64),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        """What `tensors` gave."""
        window, backward, decay, neighbours, specific, normalise = tensors["dials"].tolist()
        model = cls(
            window=int(window),
            backward=backward,
            decay=decay,
            neighbours=int(neighbours),
            specific=specific,
            normalise=normalise,
        )
        model.indptr, model.ids, model.weights = tensors["indptr"], tensors["ids"], tensors["weights"]
        model._popular = tensors["popular"]
        model._count = tensors.get("count", model._count)
        return model


def directed_pairs(train: Sequences, n: int, *, window: int, backward: float) -> scipy.sparse.csr_array:
    """float32 [n, n]: how often, and how near, the column's item came after the row's.

    A pair of the same item twice says nothing of neighbours and is left out.
    """
    indptr, ids, weights = neighbours(train, n, window=window, backward=backward, most=n)
    return scipy.sparse.csr_array((weights, ids, indptr), shape=(n, n))


def neighbours(
    train: Sequences, n: int, *, window: int, backward: float, most: int, share: Floats | None = None
) -> tuple[Longs, Ints, Floats]:
    """Of each row of `directed_pairs` the `most` strongest entries, strongest first, ties by id: indptr int64 [n + 1],
    ids int32, weights float32. share: float32 [n], by which each column counts. A row is counted and cut before the
    next: all pairs of a grocer's year would take 200 MB."""
    owner = np.repeat(np.arange(len(train), dtype=np.int32), train.lengths())
    events = np.argsort(train.item, kind="stable")
    starts = np.concatenate(([0], np.cumsum(np.bincount(train.item, minlength=n)))).astype(np.int64)
    share = np.ones(n, np.float32) if share is None else share.astype(np.float32)
    lengths, ids, weights = _neighbours(owner, train.item, events, starts, window, backward, share, min(most, n))
    return np.concatenate(([0], np.cumsum(lengths))), ids, weights


@numba.njit(cache=True, nogil=True)
def _neighbours(
    owner: Ints, item: Ints, events: Longs, starts: Longs, window: int, backward: float, share: Floats, most: int
) -> tuple[Longs, Ints, Floats]:
    """events: the rows of `item`, those of each product from starts[product]. Lengths of each product's answer, ids,
    weights."""
    n, m = len(share), len(item)
    lengths, bound = np.zeros(n, np.int64), 0
    for product in range(n):
        bound += min((starts[product + 1] - starts[product]) * 2 * window, most)
    ids, bits = np.empty(bound, np.int32), np.empty(bound, np.int32)
    sums, touched = np.zeros(n, np.float32), np.empty(n + 1, np.int32)
    at = 0
    for product in range(n):
        count = 0
        for event in events[starts[product] : starts[product + 1]]:
            for other in range(max(event - window, 0), min(event + window + 1, m)):
                if owner[other] != owner[event] or item[other] == product:
                    continue
                ahead = other > event
                weight = np.float32((1 if ahead else backward) / abs(other - event))
                if weight == 0:
                    continue
                touched[count] = item[other]
                count += sums[item[other]] == 0
                sums[item[other]] += weight
        # Strength and, where that is equal, the smaller id, in one number.
        strength = np.empty(count, np.float32)
        for place in range(count):
            strength[place] = sums[touched[place]] * share[touched[place]]
            sums[touched[place]] = 0
        keys = strength.view(np.int32).astype(np.int64)
        for place in range(count):
            keys[place] = keys[place] << 32 | (n - touched[place])
        if count > most:
            weakest(keys, count, most)  # brings them to the front
            count = most
        for place in range(1, count):  # by insertion: few are left, and NumPy's sort takes seconds to compile
            key = keys[place]
            while place > 0 and keys[place - 1] < key:
                keys[place] = keys[place - 1]
                place -= 1
            keys[place] = key
        for place in range(count):
            ids[at + place], bits[at + place] = n - (keys[place] & 0xFFFFFFFF), keys[place] >> 32
        lengths[product] = count
        at += count
    return lengths, ids[:at].copy(), bits[:at].copy().view(np.float32)
