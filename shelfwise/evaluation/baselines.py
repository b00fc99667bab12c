"""Who stands in an evaluation: what Shelfwise learns, and the baselines beside it, fitted as strong as they can be.

Models that count choose on the days before the cutoff and are then fitted again up to it. Networks stop on those days
and are not fitted again.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.described import Described
from shelfwise.evaluation.ncf import Ncf
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Progress, Recommender
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences
from shelfwise.settings import Settings
from shelfwise.training.dataset import Dataset

OURS = ("engine", "network")  # what Shelfwise learns; every other model is a baseline


@runtime_checkable
class Lister(Protocol):
    """A recommender that answers with lists at once, without scoring the whole catalogue: the engine."""

    name: str

    def recommend(
        self, histories: Sequences, k: int, *, now: Longs | None = None, exclude_seen: bool = False
    ) -> tuple[Ints, Floats]:
        """Like `model.recommender.recommend`: ids int32 [n, k] (-1 = none) and scores float32 [n, k]."""
        ...


@dataclass(frozen=True)
class Contestant:
    """A model to measure. baseline: shown beside what Shelfwise learns. refit: it may be fitted a second time, without
    validation, and keeps what it chose."""

    model: Recommender | Lister
    baseline: bool = True
    refit: bool = False


def contestants_of(engine: Lister, sources: Mapping[str, Recommender]) -> list[Contestant]:
    """A fitted engine and the models that it drew its candidates from, which are baselines but for the network."""
    return [Contestant(engine, baseline=False), *(Contestant(one, one.name not in OURS) for one in sources.values())]


def counting() -> list[Contestant]:
    """The baselines that count, to be fitted."""
    return [Contestant(model(), refit=True) for model in (Popularity, Repurchase, Cooccurrence, Ease)]


def networks(settings: Settings, minutes: float | None, *, squared: bool = False) -> list[Contestant]:
    """NCF and the described network, to be fitted, and with `squared` the latter with its other loss as well.

    minutes: most of fitting each; None is no limit but their own number of steps.
    """
    seconds = None if minutes is None else 60 * minutes
    models: list[Ncf | Described] = [
        Ncf(seed=settings.seed, seconds=seconds),
        Described(seed=settings.seed, seconds=seconds),
    ]
    if squared:
        other = Described(loss="mse", seed=settings.seed, seconds=seconds)
        other.name = "described-mse"
        models.append(other)
    return [Contestant(model) for model in models]


def fit_baselines(
    models: Sequence[Contestant],
    dataset: Dataset,
    cutoff: int,
    settings: Settings,
    progress: Progress | None = None,
) -> dict[str, float]:
    """Seconds of fitting by model. Nothing from the cutoff on is seen. Raises NotEnoughData."""
    if not models:
        return {}
    past, _ = dataset.split(cutoff)
    train, validation = dataset.split(cutoff - settings.validation_days * DAY, settings.validation_days)
    if not train.rows or not validation.rows:
        raise NotEnoughData(
            f"the record is too short: it must reach back further than twice {settings.validation_days} days; "
            "load more events, or lower the setting validation_days"
        )
    seconds = {}
    for place, one in enumerate(models):
        if not isinstance(one.model, Recommender):
            continue
        if progress is not None:
            progress(place, len(models), f"fitting {one.model.name}")
        started = time.perf_counter()
        one.model.fit(train.liked(), dataset.features, validation=validation.liked(), progress=progress)
        if one.refit:
            one.model.fit(past.liked(), dataset.features, progress=progress)
        seconds[one.model.name] = time.perf_counter() - started
    return seconds
