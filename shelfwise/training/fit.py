"""Fit: the sources, each a function of the events it learns from and of what validation chose."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Items, Progress, Recommender
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import Sequences
from shelfwise.models.transitions import Transitions
from shelfwise.settings import Settings
from shelfwise.training.executor import Executor
from shelfwise.training.network import NetworkRecommender
from shelfwise.training.windows import Window

#: Sources that count, by their name as a model: the artefact of the bundle that each becomes.
ARTEFACTS = {
    "popularity": "popularity",
    "repurchase": "repurchase",
    "item-knn": "cooccurrence",
    "ease": "ease",
    "next-basket": "transitions",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What validation decides about the counting sources: half lives in days, and how much rhythm counts."""

    popularity: float | None
    repurchase: float | None
    rhythm: float | None


def choose(window: Window | None, items: Items, run: Executor, progress: Progress | None) -> Choices:
    """Kept for every later fit; without a window the models' own defaults."""
    if window is None:
        return Choices(None, None, None)
    popularity, repurchase = Popularity(), Repurchase()
    for model in (popularity, repurchase):
        run.run(
            model.name,
            lambda model=model: model.fit(window.before, items, validation=window.after, progress=progress),  # type: ignore[misc]
        )
    return Choices(popularity.half_life, repurchase.half_life, repurchase.rhythm)


def fit_counting(
    train: Sequences, items: Items, choices: Choices, run: Executor, progress: Progress | None
) -> dict[str, Recommender]:
    """Every source that counts, fitted, by its name as a model."""
    models: tuple[Recommender, ...] = (
        Popularity(half_life=choices.popularity),
        Repurchase(half_life=choices.repurchase, rhythm=choices.rhythm),
        Cooccurrence(),
        Ease(),
        Transitions(),
    )
    for model in models:
        run.run(model.name, lambda model=model: model.fit(train, items, progress=progress))  # type: ignore[misc]
    return {model.name: model for model in models}


def fit_network(
    window: Window, items: Items, settings: Settings, folder: Path | None, progress: Progress | None
) -> Any:
    """The network, stopped by the window. folder: where a killed fit goes on."""
    model = NetworkRecommender(settings, None, folder, keep=True)
    return model.fit(window.before, items, validation=window.after, progress=progress)


def refit_network(
    chosen: Any, train: Sequences, items: Items, settings: Settings, folder: Path | None, progress: Progress | None
) -> Any:
    """The network once more on `train`, as long as validation said."""
    model = NetworkRecommender(settings, chosen.config, folder, keep=True, plan=chosen.plan)
    chosen.network = None  # its tables make room for the new ones
    return model.fit(train, items, progress=progress)
