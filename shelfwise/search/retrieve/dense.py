"""Meaning: what lies near a query, or looks like a photo, among the products' vectors.

Texts are encoded by the multilingual sentence encoder, so that one language finds the other; photos by the network that
encodes the products' photos. Up to 50,000 products every one is compared; above, an inverted file
proposes (models/index.py).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
from numba import njit

from shelfwise.catalogue.columns import Mask
from shelfwise.models.encoders import VectorCache, encode_products, image_encoder, text_encoder
from shelfwise.models.index import VectorIndex
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Floats, Ints
from shelfwise.settings import Settings

SHORT = 128  # principal components
_LATE = 2_000  # vectors scanned one by one before they are added to the index
_NO_ROWS = np.empty(0, np.int32)
_NO_STEPS = np.empty(0, np.float32)
_SAMPLE = 20_000  # vectors whose principal components are taken
_SCANNED = 50_000  # products up to which every one is compared
_PROPOSED = 3  # times as many rows are proposed as asked for
_CHUNK = 4_096  # products encoded at once
_ASKED = 20_000  # queries whose vectors are kept


class Encoders(Protocol):
    """products: (text float32 [n, d] or None, photo float32 [n, e] or None), zero rows for none. query: float32 [d],
    None without an encoder. photo: float32 [e]. Raise EncodingError."""

    def products(self, frame: pl.DataFrame) -> tuple[Floats | None, Floats | None]: ...
    def query(self, text: str) -> Floats | None: ...
    def photo(self, image: bytes) -> Floats: ...


class ShopEncoders:
    """The encoders of a shop's settings, with its cache of vectors."""

    def __init__(self, folder: Path, settings: Settings, cache: VectorCache) -> None:
        self._folder = folder
        self._settings = settings
        self._cache = cache
        self._query_vector = lru_cache(maxsize=_ASKED)(self._encoded)

    def products(self, frame: pl.DataFrame) -> tuple[Floats | None, Floats | None]:
        return encode_products(frame, self._folder, self._settings, self._cache)

    def query(self, text: str) -> Floats | None:
        return None if self._settings.text_encoder == "none" else self._query_vector(text)

    def photo(self, image: bytes) -> Floats:
        return np.asarray(image_encoder(self._settings.threads).encode([image])[0], np.float32)

    def _encoded(self, text: str) -> Floats:
        return np.asarray(text_encoder(self._settings.threads).encode([text])[0], np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _State:
    vectors: Floats  # [>= n, d], zero rows for none
    n: int
    indexed: int  # rows below are proposed by `short` or `index`; later ones are compared one by one
    axes: Floats | None  # [d, s]: the directions along which products differ most
    step: Floats  # [s]: what a step of `short` is
    short: npt.NDArray[np.int8] | None  # [indexed, s], components in steps; None where there is an index
    index: VectorIndex | None  # of the components, where there are many
    changed: Ints  # rows of the index that have another vector since, compared one by one


class Nearest:
    """Vectors by row. Any number of readers; writers take turns. Rows without a vector are never near.

    Rows are proposed by their first principal components (`SHORT` of them) and ordered by the whole vectors.
    """

    def __init__(self) -> None:
        self._state: _State | None = None
        self._writing = threading.Lock()

    def __len__(self) -> int:
        return 0 if self._state is None else self._state.n

    @property
    def vectors(self) -> Floats | None:
        """float32 [rows, d], do not write to it; None where there are none."""
        state = self._state
        return None if state is None else state.vectors[: state.n]

    def put(self, rows: Ints, vectors: Floats) -> None:
        """Set the vectors float32 [m, d] of rows [m]; they are found from now on."""
        if not len(rows):
            return
        with self._writing:
            state = self._state or _State(
                np.zeros((0, vectors.shape[1]), np.float32), 0, 0, None, _NO_STEPS, None, None, _NO_ROWS
            )
            n = max(int(rows.max()) + 1, state.n)
            kept = state.vectors
            if n > len(kept):
                kept = np.zeros((n if state.n == 0 else n + n // 20 + 1_000, vectors.shape[1]), np.float32)
                kept[: state.n] = state.vectors[: state.n]
            elif int(rows.min()) < state.n:
                kept = kept.copy()
            kept[rows] = vectors
            changed = np.union1d(state.changed, rows[rows < state.indexed]).astype(np.int32)
            if n - state.indexed + len(changed) > max(_LATE, state.indexed // 10) or state.axes is None:
                self._state = _indexed(kept, n)
                return
            short = state.short
            if len(changed) and short is not None:
                short = short.copy()
                before = rows[rows < state.indexed]
                short[before] = _steps(kept[before] @ state.axes, state.step)
            self._state = replace(state, vectors=kept, n=n, short=short, changed=changed)

    def near(self, vector: Floats, k: int, allowed: Mask | None = None) -> tuple[Ints, Floats]:
        """The k rows nearest to a unit vector [d], and their cosines, best first.

        allowed: bool, False for the rows beyond its end."""
        state = self._state
        if state is None or state.axes is None:
            return np.empty(0, np.int32), np.empty(0, np.float32)
        if allowed is not None and len(allowed) < state.n:  # of a view older than these vectors
            allowed = np.pad(allowed, (0, state.n - len(allowed)))
        components = vector @ state.axes
        if state.index is not None:
            mask = None if allowed is None else allowed[: state.indexed]
            proposed, _ = state.index.search(components[None], _PROPOSED * k, allowed=mask)
            rows = proposed[0][proposed[0] >= 0]
            late = state.changed
            rows = rows[~np.isin(rows, late)] if len(late) else rows
        else:
            late = _NO_ROWS
            assert state.short is not None, "where there is no index"
            cosine = dots(state.short, components * state.step)
            if allowed is not None:
                cosine[~allowed[: state.indexed]] = -2
            many = _PROPOSED * k
            rows = np.argpartition(-cosine, many)[:many] if many < len(cosine) else np.arange(len(cosine))
            rows = rows[cosine[rows] > -2]
        late = np.concatenate((late, np.arange(state.indexed, state.n)))
        if allowed is not None:
            late = late[allowed[late]]
        rows = np.concatenate((rows, late))
        cosine = state.vectors[rows] @ vector
        best = np.argsort(-cosine, kind="stable")[:k]
        best = best[cosine[best] > 0]
        return rows[best].astype(np.int32), cosine[best].astype(np.float32)

    def cosines(self, vector: Floats, rows: Ints) -> Floats:
        """float32 [m]; 0 for a row without a vector."""
        state = self._state
        if state is None:
            return np.zeros(len(rows), np.float32)
        there = rows < state.n
        cosines = state.vectors[np.where(there, rows, 0)] @ vector
        return np.where(there, cosines, 0).astype(np.float32)

    def mean(self, rows: Ints) -> Floats | None:
        """The direction between these rows' vectors, a unit row; None where there is none."""
        state = self._state
        if state is None:
            return None
        rows = rows[rows < state.n]
        if not len(rows):
            return None
        total = state.vectors[rows].sum(axis=0)
        length = float(np.linalg.norm(total))
        return None if length == 0 else (total / length).astype(np.float32)


def _empty(dimensions: int) -> _State:
    return _State(np.zeros((0, dimensions), np.float32), 0, 0, None, _NO_STEPS, None, None, _NO_ROWS)


def _indexed(vectors: Floats, n: int) -> _State:
    """All n rows proposed by their principal components (uncentred: cosines stay cosines)."""
    sample = vectors[:n] if n <= _SAMPLE else vectors[np.random.default_rng(0).choice(n, _SAMPLE, replace=False)]
    _, directions = np.linalg.eigh(sample.T @ sample)
    axes = np.ascontiguousarray(directions[:, ::-1][:, :SHORT]).astype(np.float32)
    components = np.ascontiguousarray(vectors[:n] @ axes)
    if n > _SCANNED:
        return _State(vectors, n, n, axes, _NO_STEPS, None, VectorIndex.build(components), _NO_ROWS)
    step = np.maximum(np.abs(components).max(axis=0), 1e-9) / 127
    return _State(vectors, n, n, axes, step, _steps(components, step), None, _NO_ROWS)


def _joined(parts: list[tuple[Ints, Floats]]) -> Floats:
    """The vectors of all parts one below the other; `parts` is emptied on the way, so that both never stand whole."""
    joined = np.empty((sum(len(part) for _, part in parts), parts[0][1].shape[1]), np.float32)
    end = len(joined)
    while parts:
        _, part = parts.pop()
        joined[end - len(part) : end] = part
        end -= len(part)
    return joined


def _steps(components: Floats, step: Floats) -> npt.NDArray[np.int8]:
    short: npt.NDArray[np.int8] = np.clip(np.rint(components / step), -127, 127).astype(np.int8)
    return short


@njit(cache=True, nogil=True, fastmath=True)
def dots(short: npt.NDArray[np.int8], weights: Floats) -> Floats:
    """short @ weights, a quarter of the memory read: float32 [n] of int8 [n, s]."""
    result = np.empty(len(short), np.float32)
    for row in range(len(short)):
        total = np.float32(0)
        for place in range(len(weights)):
            total += np.float32(short[row, place]) * weights[place]
        result[row] = total
    return result


class Meaning:
    """Text and photo vectors of all products. encoders: None for none (words alone answer)."""

    def __init__(self, encoders: Encoders | None) -> None:
        self._encoders = encoders
        self.texts = Nearest()
        self.photos = Nearest()

    def learn(
        self, frame: pl.DataFrame, rows_of: Callable[[list[str]], Ints], progress: Progress | None = None
    ) -> None:
        """Encode products (PRODUCT_COLUMNS) and make them findable; what was encoded before is read from the cache."""
        if self._encoders is None or not frame.height:
            return
        texts: list[tuple[Ints, Floats]] = []
        photos: list[tuple[Ints, Floats]] = []
        for start in range(0, frame.height, _CHUNK):
            if progress is not None:
                progress(start, frame.height, "products encoded for search")
            chunk = frame[start : start + _CHUNK]
            text, photo = self._encoders.products(chunk)
            rows = rows_of(chunk["id"].to_list())
            if text is not None:
                texts.append((rows, text))
            if photo is not None:
                photos.append((rows, photo))
        for nearest, parts in ((self.texts, texts), (self.photos, photos)):
            if parts:
                nearest.put(np.concatenate([rows for rows, _ in parts]), _joined(parts))

    def ready(self, products: int) -> None:
        """Load what a query is encoded by, where there are products to compare it with."""
        if self._encoders is not None and products:
            self._encoders.query("ready")

    def of(self, text: str) -> Floats | None:
        """The vector of a query; None where nothing has a meaning to compare with."""
        if self._encoders is None or not len(self.texts) or not text:
            return None
        vector = self._encoders.query(text)
        return None if vector is None or not vector.any() else vector

    def seen(self, photo: bytes) -> Floats | None:
        """The vector of a photo; None where no product has one. Raises EncodingError for what is no photo."""
        return None if self._encoders is None else self._encoders.photo(photo)
