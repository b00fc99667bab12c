"""Ratings: which products those who rated them liked less than usual."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from shelfwise.models.sequences import Floats, Sequences
from shelfwise.schema import DISLIKE, EventType

_PRIOR = 10.0  # ratings that the usual share counts as: one low rating is no verdict


class Ratings:
    """low: float32 [n], the share of a product's ratings that are low, drawn to the share of all, less that share."""

    def __init__(self, low: Floats) -> None:
        self.low = low

    @classmethod
    def fit(cls, train: Sequences, n: int) -> Self | None:
        """None where nobody rated low. The newest rating of a customer and product counts."""
        rated = train.take(np.isin(train.kind, (DISLIKE, EventType.RATE.code)))
        if not (rated.kind == DISLIKE).any():
            return None
        owner = np.repeat(np.arange(len(rated)), rated.lengths())
        order = np.lexsort((np.arange(rated.rows), rated.item, owner))
        last = np.ones(len(order), np.bool_)
        last[:-1] = (owner[order][1:] != owner[order][:-1]) | (rated.item[order][1:] != rated.item[order][:-1])
        kept = order[last]
        count = np.bincount(rated.item[kept], minlength=n)
        low = np.bincount(rated.item[kept], rated.kind[kept] == DISLIKE, minlength=n)
        usual = low.sum() / count.sum()
        return cls(((low + _PRIOR * usual) / (count + _PRIOR) - usual).astype(np.float32))

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        return {"low": self.low}

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, npt.NDArray[Any]]) -> Self:
        return cls(tensors["low"])
