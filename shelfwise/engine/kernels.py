"""The loops of an answer, compiled by numba and cached beside the package. Tests hold each to its NumPy reference."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from numba import njit

from shelfwise.models.sequences import Floats, Ints, Longs


@njit(cache=True, nogil=True)
def add_neighbours(
    indptr: Longs, ids: Ints, weights: Floats, items: Ints, factors: Floats, total: Floats
) -> tuple[Ints, Floats]:
    """Of these items' neighbours in a CSR graph the distinct rows, newest mention last, and Σ factor · weight.

    total: zeros as long as the catalogue, zeros again afterwards.
    """
    most = 0
    for item in items:
        most += indptr[item + 1] - indptr[item]
    rows = np.empty(most, np.int32)
    count = 0
    for place in range(len(items)):
        for at in range(indptr[items[place]], indptr[items[place] + 1]):
            row = ids[at]
            value = weights[at] * factors[place]
            if value <= 0:
                continue
            if total[row] == 0:
                rows[count] = row
                count += 1
            total[row] += value
    sums = np.empty(count, np.float32)
    for at in range(count):
        sums[at] = total[rows[at]]
        total[rows[at]] = 0
    return rows[:count].copy(), sums


@njit(cache=True, nogil=True)
def weights_to(indptr: Longs, ids: Ints, weights: Floats, items: Ints, factors: Floats, row: int) -> Floats:
    """float32 [len(items)], what each item's edge to `row` adds: factor · weight, 0 without one."""
    result = np.zeros(len(items), np.float32)
    for place in range(len(items)):
        for at in range(indptr[items[place]], indptr[items[place] + 1]):
            if ids[at] == row:
                result[place] = weights[at] * factors[place]
    return result


@njit(cache=True, nogil=True)
def merged(
    proposed: Ints, ends: Longs, sources: int, hidden: npt.NDArray[np.bool_], slot: Ints
) -> tuple[Ints, npt.NDArray[np.bool_]]:
    """(rows once each in the order of their first mention, hidden ones left out; bool [sources, m], which source names
    which). proposed: one part after the other, each up to its end; part p is of source p modulo sources. slot: as long
    as the catalogue, any content."""
    rows = np.empty(len(proposed), np.int32)
    by = np.zeros((sources, len(proposed)), np.bool_)
    count, part = 0, 0
    for at in range(len(proposed)):
        while at >= ends[part]:
            part += 1
        row = proposed[at]
        if hidden[row]:
            continue
        place = slot[row]
        if not (0 <= place < count and rows[place] == row):
            place = count
            slot[row] = count
            rows[count] = row
            count += 1
        by[part % sources, place] = True
    return rows[:count].copy(), by[:, :count].copy()


@njit(cache=True, nogil=True)
def interest_shares(
    kinds: Ints,
    unknown: Ints,
    count: int,
    items: Ints,
    age: npt.NDArray[np.float64],
    half_life: float,
    newest: int,
    rows: Ints,
    columns: Floats,
) -> None:
    """Fill float32 [5, len(rows)]: the history's decayed share in each row's category, in its first level and with its
    brand, the share of the newest events in the category, log(1 + days since an event in it), 0 without one.

    kinds: int32 [3, n], see `catalogue.Kinds`. items, age (days): the history, oldest first.
    """
    shares = np.zeros(count, np.float32)
    now = np.zeros(count, np.float32)
    idle = np.zeros(count, np.float64)
    m = len(items)
    whole = 0.0
    for at in range(m):
        whole += 2.0 ** (-age[at] / half_life)
    whole = max(whole, 1e-9)
    for at in range(m):
        fade = np.float32(2.0 ** (-age[at] / half_life) / whole)
        for kind in range(3):
            shares[kinds[kind, items[at]]] += fade
        category = kinds[0, items[at]]
        idle[category] = age[at]
        if at >= m - newest:
            now[category] += np.float32(1 / newest)
    for kind in range(3):
        shares[unknown[kind]] = 0
    now[unknown[0]] = 0
    idle[unknown[0]] = 0
    for at in range(len(rows)):
        row = rows[at]
        category = kinds[0, row]
        columns[0, at] = shares[category]
        columns[1, at] = shares[kinds[1, row]]
        columns[2, at] = shares[kinds[2, row]]
        columns[3, at] = now[category]
        columns[4, at] = math.log1p(idle[category])


@njit(cache=True, nogil=True, fastmath=True)
def towards(vectors: Floats, rows: Ints, vector: Floats, other: Floats) -> tuple[Floats, Floats]:
    """Of rows of `vectors` [n, d] the dot products with one vector, the cosines with another: float32 [c] each."""
    products, cosines = np.empty(len(rows), np.float32), np.zeros(len(rows), np.float32)
    length = np.float32(0)
    for at in range(len(other)):
        length += other[at] * other[at]
    for place in range(len(rows)):
        row = rows[place]
        product, square, both = np.float32(0), np.float32(0), np.float32(0)
        for at in range(len(vector)):
            value = vectors[row, at]
            product += value * vector[at]
            square += value * value
            both += value * other[at]
        products[place] = product
        if square > 0 and length > 0:
            cosines[place] = both / np.sqrt(square * length)
    return products, cosines


@njit(cache=True, nogil=True)
def nearness(cosine: Floats, fades: Floats, highest: int, columns: Floats) -> None:
    """Fill float32 [3, c] from the cosines [c, m] with someone's products, newest first: the highest of the first ones,
    each by its fade; the newest one's; the mean of the `highest` highest."""
    c, m = cosine.shape
    some = np.empty(highest, np.float32)
    for row in range(c):
        best = np.float32(-np.inf)
        for place in range(min(len(fades), m)):
            best = max(best, cosine[row, place] * fades[place])
        held = 0
        for place in range(m):
            value = cosine[row, place]
            if held == highest and value <= some[highest - 1]:
                continue
            held = min(held + 1, highest)
            at = held - 1
            while at > 0 and some[at - 1] < value:
                some[at] = some[at - 1]
                at -= 1
            some[at] = value
        columns[0, row], columns[1, row] = best, cosine[row, 0]
        columns[2, row] = some[:held].mean()
