"""Nearest products by inner product: FAISS behind four verbs (build, search, extended, tensors).

Small catalogues are scanned exactly in half precision. Large ones are cut into cells (IVF) with eight bits a
dimension, so that a search reads a few thousand vectors whatever the catalogue's size: on one core 92,000 × 128
takes 0.6 ms exactly and 0.1 ms in cells.

Cells are cut where the questions look. Each dimension is first stretched by how large it is in a question (and the
question's shrunk as much, so that products stay the same); one more dimension then makes all vectors equally long, for
which the nearest is the one with the highest inner product (Bachrach et al., "Speeding Up the Xbox Recommender System
Using a Euclidean Transformation for Inner-Product Spaces", RecSys 2014). Without both, cells by inner product found
none of the 60 best of 92,000 products for a network's customers, whose vectors have one large dimension; with both 90%.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from shelfwise.errors import BundleError
from shelfwise.models.sequences import Floats, Longs

_faiss: Any = faiss  # faiss's own annotations do not know the arguments its Python wrapper adds
#: Up to this many rows a scan is exact.
EXACT = 20_000
#: Cells to read where an answer waits and a score of its own decides: of 92,000 products these hold 90% of a customer's
#: best 60 (98% of the best 12), and 97% of the 60 most alike by content (99% of the best 12).
FEW_CELLS, CELLS_ALIKE = 8, 4
_CELLS_READ = 32
_LEAST = 1e-4  # of the largest scale, that a dimension is stretched by
_TRAINING_ROWS_A_CELL = 40  # what k-means needs; faiss warns below 39
_ROUNDS = 4  # of k-means; 6 find no more


class VectorIndex:
    """Rows 0 … n-1 and their vectors. Immutable once built: readers need no lock.

    Search results are approximate above `EXACT` rows; whoever ranks computes scores from the vectors themselves.
    """

    __slots__ = ("_cells", "_index", "_reach", "_scale", "dimension", "n")

    def __init__(self, index: faiss.Index, scale: Floats, reach: float) -> None:
        self._index = index
        self._scale, self._reach = scale, reach  # reach: squared length of the longest vector
        self._cells = isinstance(index, faiss.IndexIVF)
        self.n = int(index.ntotal)
        self.dimension = len(scale)

    @classmethod
    def build(cls, vectors: Floats, *, scale: Floats | None = None, exact: int = EXACT, seed: int = 0) -> VectorIndex:
        """Index float32 [n, d]. Time grows as n^1.5 above `exact` rows (one million × 128: about a minute).

        scale: float32 [d], root mean square of the questions that will be asked; None: alike in all dimensions.
        """
        n, dimension = vectors.shape
        vectors = _whole(vectors)
        scale = np.ones(dimension, np.float32) if scale is None else scale.astype(np.float32)
        scale = np.maximum(scale, max(_LEAST * float(scale.max(initial=0)), 1e-12))
        if n <= exact:
            flat = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
            flat.train(vectors)
            flat.add(vectors)
            return cls(flat, scale, 0.0)
        cells = max(64, min(int(2 * n**0.5), n // _TRAINING_ROWS_A_CELL))
        placed, reach = _placed(vectors, scale)
        # Products are assigned to cells, and cells to questions, by distance; inside them inner products are compared.
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatL2(dimension + 1),
            dimension + 1,
            cells,
            faiss.ScalarQuantizer.QT_8bit,
            faiss.METRIC_INNER_PRODUCT,
            False,
        )
        index.cp.niter = _ROUNDS
        index.cp.seed = seed + 1
        index.cp.spherical = False
        index.train(placed[np.sort(_telling(placed[:, -1], min(n, cells * _TRAINING_ROWS_A_CELL), seed))])
        index.add(placed)
        return cls(index, scale, reach)

    def search(
        self,
        queries: Floats,
        k: int,
        *,
        allowed: npt.NDArray[np.bool_] | None = None,
        cells: int = _CELLS_READ,
    ) -> tuple[Longs, Floats]:
        """Best rows of each query [b, d]: (rows int64 [b, k], scores float32 [b, k]); -1 where there are no more.

        allowed: bool [>= n]; only rows where it is true are found. cells: how many are read; fewer are faster.
        """
        k = min(k, self.n)
        if k <= 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        cells = cells if self._cells else 0
        if allowed is None:
            parameters = _reading(cells)
        else:
            chosen = _faiss.IDSelectorBitmap(np.packbits(allowed[: self.n], bitorder="little"))
            parameters = _parameters(cells, chosen)
        if cells:
            padded = np.zeros((len(queries), self.dimension + 1), np.float32)
            np.divide(queries, self._scale, out=padded[:, :-1])
        else:
            padded = _whole(queries)
        scores, rows = self._index.search(padded, k, params=parameters)
        return rows, scores

    def extended(self, vectors: Floats) -> VectorIndex:
        """A new index with these rows [m, d] after the present ones; this one stays as it is."""
        index = faiss.clone_index(self._index)
        index.add(_placed(vectors, self._scale, self._reach)[0] if self._cells else _whole(vectors))
        return VectorIndex(index, self._scale, self._reach)

    def rebuilt(self, vectors: Floats) -> VectorIndex:
        """A new index over these rows [n, d], for the same questions."""
        return VectorIndex.build(vectors, scale=self._scale)

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """All of it as arrays for a bundle."""
        return {
            "index": faiss.serialize_index(self._index),
            "head": np.array([self.dimension, self._reach, *self._scale], np.float32),
        }

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> VectorIndex:
        """Raises BundleError where `tensors` are no index."""
        try:
            reach, scale = float(tensors["head"][1]), tensors["head"][2:]
            index = faiss.deserialize_index(np.ascontiguousarray(tensors["index"]))
        except (RuntimeError, ValueError, OverflowError, IndexError) as error:
            raise BundleError(f"not a vector index ({error}); train again: `shelfwise train`") from None
        return cls(index, scale.copy(), reach)


def equal_rows(vectors: Floats) -> tuple[Longs, Longs]:
    """Products with the same text need one search: the first row of each distinct vector [m], and of every row which of
    these it equals, to the bit [n]. Told by 64 bits of a hash, a tenth of the memory of the vectors themselves."""
    places: dict[int, int] = {}
    same = np.array([places.setdefault(hash(vector.tobytes()), len(places)) for vector in vectors], np.int64)
    return np.unique(same, return_index=True)[1], same


def _telling(shortness: Floats, m: int, seed: int) -> npt.NDArray[np.intp]:
    """The m rows that cells are cut by: half are the longest vectors, which most questions want and which lie apart,
    the others chance. By chance alone it takes twice the cells and rows to find as many."""
    order = np.argsort(shortness, kind="stable")
    others = np.random.default_rng(seed).choice(order[m // 2 :], m - m // 2, replace=False)
    return np.concatenate((order[: m // 2], others))


def _parameters(cells: int, chosen: Any = None) -> Any:
    if cells:
        return _faiss.SearchParametersIVF(nprobe=cells, sel=chosen)
    return _faiss.SearchParameters(sel=chosen)


_reading = lru_cache(_parameters)  # of a search in everything: to make them anew takes a third as long as the search


def _whole(vectors: Floats) -> Floats:
    return np.ascontiguousarray(vectors, np.float32)


def _placed(vectors: Floats, scale: Floats, reach: float | None = None) -> tuple[Floats, float]:
    """float32 [m, d + 1], stretched and with a last dimension that makes the squared length of all `reach`; and that,
    by default the longest one's."""
    placed = np.empty((len(vectors), len(scale) + 1), np.float32)
    stretched = np.multiply(vectors, scale, out=placed[:, :-1])
    length = np.einsum("nd,nd->n", stretched, stretched)
    reach = float(length.max()) if reach is None else reach
    placed[:, -1] = np.sqrt(np.maximum(reach - length, 0))
    return placed, reach
