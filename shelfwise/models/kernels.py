"""Loops that several models share, compiled by numba and cached beside the package."""

from __future__ import annotations

import numba
import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats, Ints, Longs

Doubles = npt.NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def weakest(values, n, most):  # type: ignore[no-untyped-def]
    """Bring the `most` highest of the first n values to the front, in no order, and return the lowest of them (Hoare's
    quickselect; NumPy's takes eight seconds to compile)."""
    low, high = 0, n - 1
    while low < high:
        pivot, left, right = values[(low + high) // 2], low, high
        while left <= right:
            while values[left] > pivot:
                left += 1
            while values[right] < pivot:
                right -= 1
            if left <= right:
                values[left], values[right] = values[right], values[left]
                left, right = left + 1, right - 1
        if most - 1 <= right:
            high = right
        elif most - 1 >= left:
            low = left
        else:
            break
    return values[most - 1]


@numba.njit(cache=True, nogil=True)
def weighted_sum(weights: Floats, rows: Ints | Longs, factors: Floats) -> Floats:
    """factors @ weights[rows], without the copy of the rows: float32 [m]."""
    result = np.zeros(weights.shape[1], np.float32)
    for place in range(len(rows)):
        row, factor = weights[rows[place]], factors[place]
        for column in range(len(result)):
            result[column] += factor * row[column]
    return result


@numba.njit(cache=True, nogil=True)
def gained(scores: Floats, right: npt.NDArray[np.bool_], offsets: Longs, gains: Doubles) -> Doubles:
    """float64 [q], of each list of rows (offsets [q + 1]) the gains of the places of its right rows, the highest score
    standing first and ties in their order. gains: of each place that counts. Without sorting: few rows are right."""
    total = np.zeros(len(offsets) - 1, np.float64)
    for one in range(len(total)):
        for row in range(offsets[one], offsets[one + 1]):
            if not right[row]:
                continue
            place = 0
            for other in range(offsets[one], offsets[one + 1]):
                place += scores[other] > scores[row] or (scores[other] == scores[row] and other < row)
                if place == len(gains):
                    break
            if place < len(gains):
                total[one] += gains[place]
    return total
