"""What is most like each of the popular products by content, found once when a bundle is made, and which products have
the same content.

An answer looks at the likes of someone's newest products, and most answers look at the same few thousand products;
asking the index for them each time took a fifth of an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.index import CELLS_ALIKE, VectorIndex, equal_rows
from shelfwise.models.sequences import Floats, Ints, Longs

#: How many are found of each.
NEAR = 32
_MOST = 50_000  # products whose likes are found; of the others the index is asked
_BATCH = 4_096


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """place: int32 [n], where a product's likes stand in `rows`, -1 where they were not found; products with the same
    content share a place. rows: int32 [m, NEAR], best first, the product itself among them; -1 for no more."""

    place: Ints
    rows: Ints

    @classmethod
    def find(cls, vectors: Floats, index: VectorIndex, popular: Ints) -> Self:
        """Of the first `popular` products. vectors: float32 [n, d], which `index` holds; zero rows for no content."""
        place = np.full(len(vectors), -1, np.int32)
        seen: dict[bytes, int] = {}
        sought: list[int] = []
        for row in popular[:_MOST].tolist():
            key = vectors[row].tobytes()
            if key not in seen:
                seen[key] = len(sought) if vectors[row].any() else -1
                sought += [row] if seen[key] >= 0 else []
            place[row] = seen[key]
        rows = np.full((len(sought), NEAR), -1, np.int32)
        for start in range(0, len(sought), _BATCH):
            near, _ = index.search(vectors[sought[start : start + _BATCH]], NEAR, cells=CELLS_ALIKE)
            rows[start : start + _BATCH, : near.shape[1]] = near
        return cls(place, rows)

    def of(self, row: int) -> Ints | None:
        """The products most like this one, best first; None where they were not found."""
        place = int(self.place[row]) if row < len(self.place) else -1
        return None if place < 0 else self.rows[place]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"place": self.place, "rows": self.rows}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        return cls(tensors["place"], tensors["rows"])


@dataclass(frozen=True, slots=True, eq=False)
class Contents:
    """The distinct contents of a catalogue: hundreds of products may share one text, and have no other content near.

    head: bool [n], the most popular product of each content, by which an index finds it (`allowed`). place: int32 [n],
    the number of a product's content. start: int64 [contents + 1], where the products of each begin in `rows`; rows:
    int32 [n], of one content the most popular first.
    """

    head: npt.NDArray[np.bool_]
    place: Ints
    start: Longs
    rows: Ints

    @classmethod
    def of(cls, vectors: Floats, popular: Ints) -> Self:
        """vectors: float32 [n, d]. popular: rows, most popular first; those that it lacks come after them."""
        n = len(vectors)
        rest = np.ones(n, np.bool_)
        rest[popular] = False
        order = np.concatenate((popular, np.flatnonzero(rest))).astype(np.int32)
        place = equal_rows(vectors)[1].astype(np.int32)
        rows = order[np.argsort(place[order], kind="stable")]
        start = np.concatenate(([0], np.cumsum(np.bincount(place)))).astype(np.int64)
        head = np.zeros(n, np.bool_)
        head[rows[start[:-1]]] = True
        return cls(head, place, start, rows)

    def products(self, heads: Ints | Longs, most: int) -> Ints:
        """All that have the contents of these products, of each content the `most` most popular: int32."""
        begin = self.start[self.place[heads]]
        length = np.minimum(self.start[self.place[heads] + 1] - begin, most)
        before = np.cumsum(length) - length
        rows: Ints = self.rows[np.arange(length.sum()) + np.repeat(begin - before, length)]
        return rows
