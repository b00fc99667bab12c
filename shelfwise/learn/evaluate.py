"""Time split → every model through one evaluation: whole catalogue, with intervals, by segment.

`compare` is the one way in which anything here is measured; the benchmarks use it too.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np

from shelfwise.learn import metrics
from shelfwise.learn.metrics import Doubles, Estimate, Relevant
from shelfwise.model.recommender import Items, Progress, Recommender, recommend
from shelfwise.model.sequences import Floats, Ints, Longs, Sequences


@runtime_checkable
class Lister(Protocol):
    """A recommender that answers with lists at once, without scoring the whole catalogue: the engine."""

    name: str

    def recommend(
        self, histories: Sequences, k: int, *, now: Longs | None = None, exclude_seen: bool = False
    ) -> tuple[Ints, Floats]:
        """Like `model.recommender.recommend`: ids int32 [n, k] (-1 = none) and scores float32 [n, k]."""
        ...


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one model reached on the same customers as every other row of its table.

    ids: int32 [n, max(ks)], what it recommended. values: float64 [n] a metric, as `metrics.ranking` gives.
    fit_seconds is 0 for models that came fitted.
    """

    name: str
    ids: Ints = field(repr=False)
    values: dict[str, Doubles] = field(repr=False)
    fit_seconds: float
    score_seconds: float

    def mean(self, metric: str) -> float:
        """The mean over the customers that have something relevant."""
        return float(np.nanmean(self.values[metric]))

    def estimates(self, *, seed: int = 0) -> dict[str, Estimate]:
        """Every metric's mean with its 95 % bootstrap interval."""
        return metrics.summarise(self.values, seed=seed)


def compare(
    models: Sequence[Recommender | Lister],
    train: Sequences | None,
    histories: Sequences,
    relevant: Relevant,
    items: Items,
    ks: Sequence[int] = (10, 20),
    exclude_seen: bool = False,
    progress: Progress | None = None,
    *,
    validation: Sequences | None = None,
    now: Longs | None = None,
) -> list[Row]:
    """Fit each model on `train` (None: they are fitted already) and measure its top max(ks) of the whole catalogue.

    histories[i] is the query of customer i and relevant[i] what followed; customers without anything relevant count
    in no metric. exclude_seen leaves the products of the history out of the lists. now: int64 [n], seconds.
    """
    rows: list[Row] = []
    for place, model in enumerate(models):
        started = time.perf_counter()
        if train is not None and isinstance(model, Recommender):
            _tell(progress, place, len(models), f"fitting {model.name}")
            model.fit(train, items, validation=validation, progress=progress)
        fitted = time.perf_counter()
        _tell(progress, place, len(models), f"measuring {model.name}")
        if isinstance(model, Lister):
            ids = model.recommend(histories, max(ks), now=now, exclude_seen=exclude_seen)[0]
        else:
            ids = recommend(model, histories, max(ks), now=now, exclude_seen=exclude_seen)[0]
        scored = time.perf_counter()
        rows.append(
            Row(
                name=model.name,
                ids=ids,
                values=metrics.ranking(ids, relevant, ks),
                fit_seconds=0.0 if train is None else fitted - started,
                score_seconds=scored - fitted,
            )
        )
    _tell(progress, len(models), len(models), "measured")
    return rows


def _tell(progress: Progress | None, done: int, total: int, status: str) -> None:
    if progress is not None:
        progress(done, total, status)
