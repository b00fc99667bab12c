"""Taste: what a history says of products by their content alone, so that those never sold can be told apart.

Likeness in itself treats all that texts and photos say alike, but who buys a red dress may want another dress or
another red thing. Which of it carries over from what was bought to what is bought is learned: with X [customers, n] who
had what (each customer's products scaled by the root of their number), C [n, d] the content and D the diagonal of XᵀX,

    M = (CᵀXᵀXC + λI)⁻¹ Cᵀ(XᵀX - D)C (CᵀC + μI)⁻¹,    score of product i for history h = (mean of C over h) M Cᵢ

is the ridge regression of each product on the mean content of the others that the same customers had. It costs one
pass over the events and two solutions of d equations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import scipy

from shelfwise.models.index import CELLS_ALIKE, VectorIndex, equal_rows
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences

#: λ and μ over the mean diagonal. Ten times more or less loses under 5% on Online Retail, Complete Journey and fashion.
_PENALTY_HISTORY, _PENALTY_PRODUCT = 0.03, 0.5
_HALF_LIFE = 180.0  # days, of an event in a history that asks
_READ = 300  # newest events that ask
_LIKE = 10  # sold products most like an unsold one, whose sales say what it may sell
_SHARPNESS = 4  # power of the cosine that weighs them
_BATCH = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Taste:
    """matrix: float32 [d, d], M. borrowed: float32 [n], of products never sold the mean log(1 + events) of the sold
    ones most like them; 0 of others."""

    matrix: Floats
    borrowed: Floats

    @classmethod
    def fit(cls, train: Sequences, content: Floats, index: VectorIndex) -> Self:
        """content: float32 [n, d], unit rows or zero, which `index` holds."""
        n, d = content.shape
        owner = np.repeat(np.arange(len(train)), train.lengths())
        had = scipy.sparse.csr_matrix((np.ones(train.rows, np.float32), (owner, train.item)), shape=(len(train), n))
        had.sum_duplicates()
        had.data = np.repeat(np.maximum(np.diff(had.indptr), 1), np.diff(had.indptr)).astype(np.float32) ** -0.5
        had = had[np.diff(had.indptr) > 1]
        sums = np.asarray(had @ content, np.float64)
        together = sums.T @ sums
        weight = np.asarray(had.multiply(had).sum(axis=0)).ravel()
        apart = together - (content * weight[:, None]).T @ content
        products = content.T.astype(np.float64) @ content
        for gram, penalty in ((together, _PENALTY_HISTORY), (products, _PENALTY_PRODUCT)):
            gram[np.diag_indices(d)] += penalty * max(float(np.trace(gram)) / d, 1e-9)
        matrix = np.linalg.solve(products, np.linalg.solve(together, apart).T).T
        sold = np.bincount(train.item, minlength=n)
        return cls(matrix.astype(np.float32), _borrowed(np.log1p(sold).astype(np.float32), content, index))

    def of(self, items: Ints, times: Longs, now: int, content: Floats) -> Floats:
        """One history (oldest first, at least one event): the vector float32 [d] whose dot product with a product's
        content is its score."""
        items, times = items[-_READ:], times[-_READ:]
        weight = np.exp2(np.minimum(times - now, 0) / (_HALF_LIFE * DAY)).astype(np.float32)
        mean = weight @ content[items] / max(float(weight.sum()), 1e-9)
        return np.asarray(mean @ self.matrix, np.float32)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"matrix": self.matrix, "borrowed": self.borrowed}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        return cls(tensors["matrix"], tensors["borrowed"])


def _borrowed(sold: Floats, content: Floats, index: VectorIndex) -> Floats:
    """sold: float32 [n], log(1 + events)."""
    borrowed = np.zeros(len(sold), np.float32)
    there = content.any(axis=1)
    unsold = np.flatnonzero((sold == 0) & there)
    if not len(unsold) or len(unsold) == np.count_nonzero(there):
        return borrowed
    first, same = equal_rows(content[unsold])
    queries = content[unsold[first]]
    worth = np.zeros(len(queries), np.float32)
    for start in range(0, len(queries), _BATCH):
        part = slice(start, start + _BATCH)
        rows, cosines = index.search(queries[part], _LIKE, allowed=(sold > 0) & there, cells=CELLS_ALIKE)
        weight = np.where(rows >= 0, np.maximum(cosines, 0), 0) ** _SHARPNESS
        worth[part] = (weight * sold[rows]).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-9)
    borrowed[unsold] = worth[same]
    return borrowed
