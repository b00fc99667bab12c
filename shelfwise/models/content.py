"""Content space: what a product's text and photo say, in one short vector, so that likeness is one dot product.

Each modality is centred (sentence and photo vectors share a large common part that says nothing), reduced by
principal components, scaled to length one, and the two are put side by side: the dot product of two products is the
mean cosine of what both have. A product with one modality only keeps that one at full length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats

#: Dimensions kept of a modality.
DIMENSIONS = 96
_SAMPLE = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class Projection:
    """One modality's: mean float32 [d], axes float32 [d, m]."""

    mean: Floats
    axes: Floats

    @classmethod
    def fit(cls, vectors: Floats) -> Self | None:
        """Principal components of the non-zero rows; None when there are none."""
        present = np.flatnonzero(vectors.any(axis=1))
        if not len(present):
            return None
        if len(present) > _SAMPLE:
            present = np.sort(np.random.default_rng(0).choice(present, _SAMPLE, replace=False))
        sample = np.asarray(vectors[present], np.float32)
        # With a handful of products the centre is one of them: nothing would be left.
        mean = sample.mean(axis=0) if len(sample) >= 32 else np.zeros(sample.shape[1], np.float32)
        sample = sample - mean
        _, axes = np.linalg.eigh(sample.T @ sample)
        return cls(mean.astype(np.float32), np.ascontiguousarray(axes[:, ::-1][:, :DIMENSIONS], np.float32))

    def __call__(self, vectors: Floats) -> Floats:
        """[n, d] -> unit rows [n, m]; zero rows stay zero."""
        result: Floats = vectors @ self.axes - self.mean @ self.axes
        result[~vectors.any(axis=1)] = 0
        return _unit(result)


@dataclass(frozen=True, slots=True, eq=False)
class ContentSpace:
    """Projections of both modalities; either may be absent."""

    text: Projection | None
    image: Projection | None

    @classmethod
    def fit(cls, text: Floats | None, image: Floats | None) -> Self | None:
        """None when no product has a text or a photo vector."""
        space = cls(
            None if text is None else Projection.fit(text),
            None if image is None else Projection.fit(image),
        )
        return None if space.dimension == 0 else space

    @property
    def dimension(self) -> int:
        return sum(part.axes.shape[1] for part in (self.text, self.image) if part is not None)

    def vectors(self, n: int, text: Floats | None, image: Floats | None) -> Floats:
        """Unit rows float32 [n, dimension]; zero rows for products with neither text nor photo."""
        parts = []
        for projection, raw in ((self.text, text), (self.image, image)):
            if projection is not None:
                width = projection.axes.shape[1]
                parts.append(np.zeros((n, width), np.float32) if raw is None else projection(raw))
        return _unit(np.concatenate(parts, axis=1))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        tensors: dict[str, npt.NDArray[Any]] = {}
        for name, part in (("text", self.text), ("image", self.image)):
            if part is not None:
                tensors[f"{name}_mean"], tensors[f"{name}_axes"] = part.mean, part.axes
        return tensors

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        text, image = (
            Projection(tensors[f"{name}_mean"], tensors[f"{name}_axes"]) if f"{name}_mean" in tensors else None
            for name in ("text", "image")
        )
        return cls(text, image)


def _unit(rows: Floats) -> Floats:
    """Each row divided by its length, in place."""
    length = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    rows /= np.where(length > 1e-9, length, 1)[:, None]
    return rows
