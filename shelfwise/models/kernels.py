"""Loops that several models share, compiled by numba and cached beside the package."""

from __future__ import annotations

import numba
import numpy as np

from shelfwise.models.sequences import Floats, Ints, Longs


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
