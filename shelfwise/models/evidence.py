"""What was bought with a product, and with whatever is like it: counts that back off from the pair to the category.

A row of evidence belongs to a product or to a group of products (its category, the category above, its brand) and says
how many baskets that held one of them held each other product as well. A question about products reads six channels:

    own       the row of the product itself
    near      the rows of the products most like it by text and photo, the more alike the more
    category  the row of its category
    above     the row of the category above
    brand     the row of its brand
    buyers    what those who bought it buy at any time, for what is sold too rarely to have shared many baskets

so a product without sales is answered by four of them. The counts say what goes with what; how much each channel is
worth is for a ranker to learn, which knows how many baskets stand behind it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from itertools import pairwise
from typing import Any, Self

import numba
import numpy as np
import numpy.typing as npt
import scipy

from shelfwise.models.baskets import Baskets
from shelfwise.models.index import CELLS_ALIKE, VectorIndex, equal_rows
from shelfwise.models.kernels import weakest
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import Floats, Ints, Longs

CHANNELS = ("own", "near", "category", "above", "brand", "buyers")
OWN, NEAR, CATEGORY, ABOVE, BRAND, BUYERS = range(len(CHANNELS))
#: Products most like one by content that answer beside it, and the power of their cosine that weighs them.
NEIGHBOURS, SHARPNESS = 20, 4
#: Entries kept of a product's row, of a group's and of the buyers', the strongest by `merit`.
_KEPT, _KEPT_GROUP, _KEPT_BUYERS = 200, 400, 100
_POWER, _SHRINK = 0.25, 5.0
_CHUNKS = 16  # parts of the rows, which threads share
#: Days. On Online Retail and Complete Journey 360 gives 1.5% and 2% over none, 180 2% and 0.4%, 90 3% and -3%.
_HALF_LIFE = 360


def merit(count: Floats, popularity: Floats, shrink: float = _SHRINK) -> Floats:
    """count / popularity^0.25 · count / (count + shrink): together often, and more than popularity explains. The best
    of the simple orders of what goes with a product."""
    return np.asarray(count / np.maximum(popularity, 1) ** _POWER * (count / (count + shrink)), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Rows as CSR: n of products, then those of groups, then n of products' buyers.

    indptr: int64 [rows + 1]. ids: int32, products. count: float32, baskets that hold both (of buyers: the sum over
    customers of the product of both log counts, over the root of the customer's sum). share: float32, the same where a
    basket counts 1 / √(size - 1), for a pair in a large basket says less, and half after `_HALF_LIFE` days.
    groups: int32 [n, 3], rows of each product's category, category above and brand, -1 for none.
    total: float32 [rows], baskets (customers) behind each row. popularity, buyers: float32 [n], baskets and customers
    that held each product. baskets: float32 [2], how many there are, and customers.
    near: int32 [n, NEIGHBOURS], sold products most like each by content, -1 for no more; alike: float32, their cosines.
    """

    indptr: Longs
    ids: Ints
    count: Floats
    share: Floats
    groups: Ints
    total: Floats
    popularity: Floats
    buyers: Floats
    baskets: Floats
    near: Ints
    alike: Floats

    @classmethod
    def fit(cls, baskets: Baskets, items: Items, content: Floats | None, now: int = 0) -> Self:
        """content: float32 [n, d], unit rows, zero rows where nothing is known. now: seconds, when it is asked."""
        held, n = baskets.held, items.n
        popularity = _sums(held)
        sizes = baskets.sizes()
        ages = np.maximum(baskets.ages(now), 0)
        share = np.repeat(np.exp2(-ages / _HALF_LIFE) / np.sqrt(np.maximum(sizes - 1, 1)), sizes).astype(np.float32)
        rows = Rows(popularity)
        rows.add(held, held.data, held, share, _KEPT)
        groups, number = _groups(items)
        total = [popularity]
        if number:
            inside = scipy.sparse.csr_matrix(held @ _membership(groups, number))
            once = np.ones(inside.nnz, np.float32)
            rows.add(inside, once, held, share, _KEPT_GROUP, (inside.data == 1, groups))
            total.append(np.bincount(inside.indices, minlength=number).astype(np.float32))
        logs, weighted = _customers(baskets)
        rows.add(logs, logs.data, weighted, weighted.data, _KEPT_BUYERS)
        buyers = np.bincount(logs.indices, minlength=n).astype(np.float32)
        near, alike = _nearest(content, popularity > 0)
        return cls(
            **rows.arrays(),
            groups=np.where(groups >= 0, groups + n, -1).astype(np.int32),
            total=np.concatenate([*total, buyers]),
            popularity=popularity,
            buyers=buyers,
            baskets=np.array([len(baskets), logs.shape[0]], np.float32),
            near=near,
            alike=alike,
        )

    def gather(self, seeds: Ints, hidden: bool = False) -> Gathered:
        """What the six channels of these products propose. hidden: as if these products had never been sold."""
        n, m = len(self.groups), len(seeds)
        rows: list[Ints] = []
        weights: list[Floats] = []
        channels: list[Ints] = []

        def read(part: Ints, weight: Floats, channel: int) -> None:
            there = (part >= 0) & (weight > 0)
            rows.append(part[there])
            weights.append(weight[there])
            channels.append(np.full(int(there.sum()), channel, np.int32))

        one = np.ones(m, np.float32)
        if not hidden:
            read(seeds, one, OWN)
            read((seeds + (len(self.total) - n)).astype(np.int32), one, BUYERS)
        each = max(NEIGHBOURS // m, 3)
        read(self.near[seeds, :each].ravel(), np.maximum(self.alike[seeds, :each], 0).ravel() ** SHARPNESS, NEAR)
        for place, channel in enumerate((CATEGORY, ABOVE, BRAND)):
            read(self.groups[seeds, place], one, channel)
        row, weight, channel_of = np.concatenate(rows), np.concatenate(weights), np.concatenate(channels)
        behind = np.bincount(channel_of, weight * self.total[row], len(CHANNELS)).astype(np.float32)
        ids, counts, shares = _gather(self.indptr, self.ids, self.count, self.share, row, weight, channel_of)
        return Gathered(ids=ids, count=counts, share=shares, behind=behind)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        return cls(**{field.name: tensors[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Gathered:
    """ids: int32 [c], distinct products. count, share: float32 [c, channels], the weighted sums of the rows read.
    behind: float32 [channels], the weighted baskets behind the rows."""

    ids: Ints
    count: Floats
    share: Floats
    behind: Floats

    def with_ids(self, ids: Ints) -> Gathered:
        """With these products besides, of which nothing was read."""
        nothing = np.zeros((len(ids), len(CHANNELS)), np.float32)
        return Gathered(
            ids=np.concatenate((self.ids, ids)),
            count=np.concatenate((self.count, nothing)),
            share=np.concatenate((self.share, nothing)),
            behind=self.behind,
        )

    def where(self, kept: npt.NDArray[Any]) -> Gathered:
        return Gathered(ids=self.ids[kept], count=self.count[kept], share=self.share[kept], behind=self.behind)


class Rows:
    """Rows of evidence, each counted and cut to its strongest entries at once."""

    def __init__(self, popularity: Floats) -> None:
        # Inside, products go by how often they are bought: the sums of most entries then lie close together.
        self._products = np.argsort(-popularity, kind="stable").astype(np.int32)
        self._place = np.empty(len(popularity), np.int32)
        self._place[self._products] = np.arange(len(popularity), dtype=np.int32)
        self._rarity = np.maximum(popularity[self._products], 1).astype(np.float32) ** np.float32(-_POWER)
        self._parts: list[tuple[Longs, Ints, Floats, Floats]] = []

    def add(
        self,
        baskets: scipy.sparse.csr_matrix,
        weight: Floats,
        held: scipy.sparse.csr_matrix,
        share: Floats,
        most: int,
        groups: tuple[npt.NDArray[np.bool_], Ints] | None = None,
    ) -> None:
        """Rows basketsᵀ held, of each row the `most` strongest entries.

        weight: of each entry of `baskets` [baskets, rows]. share: as held.data. groups: None where row i is product i,
        which is no entry of its own. Else the rows are groups: (single, of); single: bool, of each entry of `baskets`,
        whether one product alone put the group into the basket, which then adds nothing; of: int32 [n, g], the rows to
        which each product belongs.
        """
        single, of = groups or (np.zeros(baskets.nnz, np.bool_), np.empty((0, 1), np.int32))
        numbered = np.arange(baskets.nnz), baskets.indices, baskets.indptr
        by_row = scipy.sparse.csr_matrix(scipy.sparse.csr_matrix(numbered, shape=baskets.shape).T)
        arguments = (
            (by_row.indptr.astype(np.int64), by_row.indices, weight[by_row.data], single[by_row.data]),
            (held.indptr.astype(np.int64), self._place[held.indices], np.stack((held.data, share), axis=1)),
            of[self._products] if groups else of,
            self._place,
            self._rarity,
            most,
        )
        cuts = np.linspace(0, by_row.shape[0], _CHUNKS + 1).astype(int).tolist()
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            for lengths, ids, counts, shares in threads.map(lambda rows: _count(*arguments, *rows), pairwise(cuts)):
                self._parts.append((lengths, self._products[ids], counts, shares))

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """All rows; none is left here, or they would stand twice in memory."""
        columns = [list(column) for column in zip(*self._parts, strict=True)]
        self._parts.clear()
        lengths, ids, count, share = (np.concatenate(columns.pop(0)) for _ in range(4))
        indptr = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
        return {"indptr": indptr, "ids": ids, "count": count, "share": share}


def _groups(items: Items) -> tuple[Ints, int]:
    """int32 [n, 3]: number of each product's category, category above and brand, -1 unknown; how many there are.

    A category above is one only where it holds more than the category itself."""
    groups = np.full((items.n, 3), -1, np.int32)
    number = 0
    if items.category is not None and (items.category >= 0).any():
        known = items.category >= 0
        groups[known, 0] = items.category[known]
        number = int(items.category.max()) + 1
        if len(items.category_names) >= number:
            above: dict[str, int] = {}
            names = (name.rpartition(" > ")[0] for name in items.category_names)
            of = np.array([above.setdefault(name, len(above)) if name else -1 for name in names], np.int32)
            number_above = of[items.category[known]]
            groups[known, 1] = np.where(number_above >= 0, number_above + number, -1)
            number += len(above)
    if items.brand is not None and (items.brand >= 0).any():
        known = items.brand >= 0
        groups[known, 2] = items.brand[known] + number
        number += int(items.brand.max()) + 1
    return groups, number


def _membership(groups: Ints, number: int) -> scipy.sparse.csr_matrix:
    row, place = np.nonzero(groups >= 0)
    column = groups[row, place]
    return scipy.sparse.csr_matrix((np.ones(len(row), np.float32), (row, column)), shape=(len(groups), number))


def _customers(baskets: Baskets) -> tuple[scipy.sparse.csr_matrix, scipy.sparse.csr_matrix]:
    """[customers, n], log(1 + baskets that held the product); the same over the root of each customer's sum."""
    customers, row = np.unique(baskets.customer, return_inverse=True)
    owner = scipy.sparse.csr_matrix(
        (np.ones(len(row), np.float32), (row, np.arange(len(row)))), shape=(len(customers), len(row))
    )
    logs = scipy.sparse.csr_matrix(owner @ baskets.held)
    logs.data = np.log1p(logs.data)
    whole = np.asarray(logs.sum(axis=1), np.float32).ravel()
    return logs, scipy.sparse.csr_matrix(scipy.sparse.diags(1 / np.sqrt(np.maximum(whole, 1))) @ logs)


def _nearest(content: Floats | None, sold: npt.NDArray[np.bool_]) -> tuple[Ints, Floats]:
    """int32 and float32 [n, NEIGHBOURS]: the sold products most like each by content, and their cosines."""
    near = np.full((len(sold), NEIGHBOURS), -1, np.int32)
    alike = np.zeros((len(sold), NEIGHBOURS), np.float32)
    there = np.flatnonzero(sold & content.any(axis=1)).astype(np.int32) if content is not None else near[:0, 0]
    if content is None or not len(there):
        return near, alike
    index = VectorIndex.build(np.ascontiguousarray(content[there]))
    first, same = equal_rows(content)
    rows_near, cosines = index.search(content[first], NEIGHBOURS + 1, cells=CELLS_ALIKE)
    others = np.where(rows_near >= 0, there[rows_near], -1)[same]
    cosines = np.where(rows_near >= 0, cosines, 0)[same]
    cosines[~content.any(axis=1)] = 0
    # A product is no neighbour of its own: what follows it moves up, and the last is one too many else.
    itself = others == np.arange(len(sold))[:, None]
    last = np.where(itself.any(axis=1), itself.argmax(axis=1), NEIGHBOURS)
    places = np.arange(NEIGHBOURS) + (np.arange(NEIGHBOURS) >= last[:, None])
    width = others.shape[1]
    places = places[:, : width - 1]
    near[:, : width - 1] = np.take_along_axis(others, places, 1)
    alike[:, : width - 1] = np.take_along_axis(cosines, places, 1)
    return near, alike


def _sums(matrix: scipy.sparse.csr_matrix) -> Floats:
    return np.asarray(matrix.sum(axis=0), np.float32).ravel()


@numba.njit(cache=True, nogil=True)
def _count(baskets, held, groups, place_of, rarity, most, first, last):  # type: ignore[no-untyped-def]
    """Lengths, ids, counts and shares of the rows from `first` to `last`, their strongest entries only (`Rows.add`).

    place_of: int32 [n], by what number the ids of `held` and of the answer name each product."""
    row_start, row_basket, row_weight, single = baskets
    start, items, values = held
    n = len(rarity)
    bound = 0
    for row in range(first, last):
        entries = 0
        for basket in row_basket[row_start[row] : row_start[row + 1]]:
            entries += start[basket + 1] - start[basket]
        bound += min(entries, most)
    ids, counts, shares = np.empty(bound, np.int32), np.empty(bound, np.float32), np.empty(bound, np.float32)
    lengths = np.zeros(last - first, np.int64)
    sums = np.zeros((n, 2), np.float32)  # count and share side by side: one line of the cache for both
    touched, strength = np.empty(n + 1, np.int32), np.empty(4 * most, np.float32)
    at = 0
    for row in range(first, last):
        n_touched = 0
        for place in range(row_start[row], row_start[row + 1]):
            basket, times, alone = row_basket[place], row_weight[place], single[place]
            for entry in range(start[basket], start[basket + 1]):
                item = items[entry]
                if alone:
                    belongs = False
                    for group in groups[item]:
                        belongs |= group == row
                    if belongs:
                        continue
                before = sums[item, 0]
                touched[n_touched] = item  # without a branch, which the processor would often guess wrong
                n_touched += before == 0
                sums[item, 0] = before + times * values[entry, 0]
                sums[item, 1] += times * values[entry, 1]
        if not len(groups) and n_touched:  # a product's own row holds it in every basket
            itself = place_of[row]
            sums[itself] = 0
            for place in range(n_touched):
                if touched[place] == itself:
                    touched[place] = touched[n_touched - 1]
                    n_touched -= 1
                    break
        least = np.float32(0)  # the strength of the weakest that stays
        if n_touched > most:
            held = 0
            for place in range(n_touched):
                value, rare = sums[touched[place], 0], rarity[touched[place]]
                if rare * value * value > least * (value + np.float32(5)):
                    strength[held] = rare * value * value / (value + np.float32(5))
                    held += 1
                    if held == len(strength):
                        least, held = weakest(strength, held, most), most
            least = weakest(strength, held, most)
        kept = 0
        for place in range(n_touched):
            item = touched[place]
            value = sums[item, 0]
            # Few come so near that a division has to say it.
            near = rarity[item] * value * value >= np.float32(0.999) * least * (value + np.float32(5))
            if near and kept < most and rarity[item] * value * value / (value + np.float32(5)) >= least:
                ids[at + kept], counts[at + kept], shares[at + kept] = item, value, sums[item, 1]
                kept += 1
            sums[item] = 0
        lengths[row - first] = kept
        at += kept
    return lengths, ids[:at].copy(), counts[:at].copy(), shares[:at].copy()


@numba.njit(cache=True, nogil=True)
def _gather(indptr, ids, count, share, rows, weights, channels):  # type: ignore[no-untyped-def]
    """Σ weight · entry by product and channel: (ids [c], count [c, channels], share [c, channels])."""
    entries = 0
    for row in rows:
        entries += indptr[row + 1] - indptr[row]
    bits = 4
    while (1 << bits) < 2 * entries:
        bits += 1
    mask = (1 << bits) - 1
    slots = np.full(1 << bits, -1, np.int32)
    seen = np.empty(entries, np.int32)
    counts = np.zeros((entries, 6), np.float32)
    shares = np.zeros((entries, 6), np.float32)
    n = 0
    for place in range(len(rows)):
        weight, channel = weights[place], channels[place]
        for entry in range(indptr[rows[place]], indptr[rows[place] + 1]):
            item = ids[entry]
            slot = np.int64((np.uint64(item) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - bits)) & mask
            while slots[slot] >= 0 and seen[slots[slot]] != item:
                slot = (slot + 1) & mask
            if slots[slot] < 0:
                slots[slot] = n
                seen[n] = item
                n += 1
            counts[slots[slot], channel] += weight * count[entry]
            shares[slots[slot], channel] += weight * share[entry]
    return seen[:n].copy(), counts[:n].copy(), shares[:n].copy()
