"""Nearest products by inner product: FAISS behind four verbs (build, search, extended, to_bytes / from_bytes).

Small catalogues are scanned exactly in half precision. Large ones are cut into cells (IVF) with eight bits a
dimension, so that a search reads a few thousand vectors whatever the catalogue's size: on one core 92,000 × 128
takes 0.6 ms exactly and 0.1 ms in cells.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np
import numpy.typing as npt

from shelfwise.errors import BundleError
from shelfwise.model.sequences import Floats, Longs

_faiss: Any = faiss  # faiss's own annotations do not know the arguments its Python wrapper adds
#: Up to this many rows a scan is exact.
EXACT = 20_000
_CELLS_READ = 32
_TRAINING_ROWS_A_CELL = 40  # what k-means needs; faiss warns below 39


class VectorIndex:
    """Rows 0 … n-1 and their vectors. Immutable once built: readers need no lock.

    Search results are approximate above `EXACT` rows; whoever ranks computes scores from the vectors themselves.
    """

    __slots__ = ("_everywhere", "_index", "dimension", "n")

    def __init__(self, index: faiss.Index) -> None:
        self._index = index
        self.n = int(index.ntotal)
        self.dimension = int(index.d)
        cells = isinstance(index, faiss.IndexIVF)
        self._everywhere: Any = _faiss.SearchParametersIVF(nprobe=_CELLS_READ) if cells else None

    @classmethod
    def build(cls, vectors: Floats, *, exact: int = EXACT, seed: int = 0) -> VectorIndex:
        """Index float32 [n, d]. Time grows as n^1.5 above `exact` rows (one million × 128: about a minute)."""
        n, dimension = vectors.shape
        vectors = np.ascontiguousarray(vectors, np.float32)
        if n <= exact:
            flat = faiss.IndexScalarQuantizer(dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
            flat.train(vectors)
            flat.add(vectors)
            return cls(flat)
        cells = max(64, min(int(4 * n**0.5), n // _TRAINING_ROWS_A_CELL))
        index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dimension), dimension, cells, faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
        )
        index.cp.niter = 6
        index.cp.seed = seed + 1
        rows = np.random.default_rng(seed).choice(n, min(n, cells * _TRAINING_ROWS_A_CELL), replace=False)
        index.train(vectors[np.sort(rows)])
        index.add(vectors)
        return cls(index)

    def search(self, queries: Floats, k: int, *, allowed: npt.NDArray[np.bool_] | None = None) -> tuple[Longs, Floats]:
        """Best rows of each query [b, d]: (rows int64 [b, k], scores float32 [b, k]); -1 where there are no more.

        allowed: bool [>= n]; only rows where it is true are found.
        """
        k = min(k, self.n)
        if k <= 0:
            return np.empty((len(queries), 0), np.int64), np.empty((len(queries), 0), np.float32)
        queries = np.ascontiguousarray(queries, np.float32)
        parameters = self._everywhere
        if allowed is not None:
            bits = np.packbits(allowed[: self.n], bitorder="little")
            selector = _faiss.IDSelectorBitmap(bits)
            if parameters is None:
                parameters = _faiss.SearchParameters(sel=selector)
            else:
                parameters = _faiss.SearchParametersIVF(nprobe=_CELLS_READ, sel=selector)
        scores, rows = self._index.search(queries, k, params=parameters)
        return rows, scores

    def extended(self, vectors: Floats) -> VectorIndex:
        """A new index with these rows [m, d] after the present ones; this one stays as it is."""
        index = faiss.clone_index(self._index)
        index.add(np.ascontiguousarray(vectors, np.float32))
        return VectorIndex(index)

    def to_bytes(self) -> bytes:
        return bytes(faiss.serialize_index(self._index).tobytes())

    @classmethod
    def from_bytes(cls, data: bytes) -> VectorIndex:
        """Raises BundleError when `data` is no index."""
        try:
            index = faiss.deserialize_index(np.frombuffer(data, np.uint8))
        except RuntimeError as error:
            raise BundleError(f"not a vector index ({error}); train again: `shelfwise train`") from None
        return cls(index)
