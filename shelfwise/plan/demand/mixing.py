"""How members are mixed: what validation decides of their weights, of the errors about each, and of the fan's width.

A member that forecasts a point gets the quantiles of its own errors on origins held back, of products of the same
demand class and size of forecast. The members' quantiles are averaged with the weights of least pinball loss, and the
fan is drawn apart where it held too little of what came.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from shelfwise.plan.demand.features import CLASSES
from shelfwise.plan.demand.methods import METHODS
from shelfwise.plan.demand.quantiles import LEVELS, pinball

Array = np.ndarray[Any, Any]

MEMBERS = ("ratio", "residual", "seasonal", "levels")
RECURRING = ("seasonal", "seasonal naive")
_WIDENED = np.arange(1.0, 1.6, 0.02)  # stretches of the fan that are tried
_LEAN = 400  # rows that the stretch of a class leans on its kin with
_CELLS = 12  # sizes of forecast within a class whose errors are pooled


class Pooled:
    """How demand lay about a point forecast, for products of the same class and size of forecast.

    Of smooth and erratic demand the errors are pooled in units of the predicted absolute error; of intermittent and
    lumpy demand the ratios of demand to forecast, so that a count of nothing stays nothing."""

    def __init__(self, point: Array, width: Array, target: Array, classes: Array) -> None:
        self.edges: dict[int, Array] = {}
        self.tables: dict[int, Array] = {}
        for k in range(4):
            mine = np.flatnonzero(classes == k)
            if len(mine) < 60:  # the nearest thing: all rows, in this class's own way
                mine = np.arange(len(target))
            base, unit = _about(point[mine], width[mine], k)
            cells = int(np.clip(len(mine) // 250, 1, _CELLS if k < 2 else 3 * _CELLS))
            edges = (
                np.unique(np.quantile(point[mine], np.linspace(0, 1, cells + 1)[1:-1])) if cells > 1 else np.zeros(0)
            )
            cell = np.searchsorted(edges, point[mine])
            off = (target[mine] - base) / unit
            method = "linear" if k < 2 else "inverted_cdf"
            self.edges[k] = edges
            self.tables[k] = np.array(
                [
                    np.quantile(off[cell == c] if (cell == c).any() else off, LEVELS, method=method)  # type: ignore[call-overload]
                    for c in range(len(edges) + 1)
                ]
            )

    def predict(self, point: Array, width: Array, classes: Array) -> Array:
        out = np.zeros((len(point), len(LEVELS)))
        for k in np.unique(classes):
            mine = np.flatnonzero(classes == k)
            base, unit = _about(point[mine], width[mine], int(k))
            cell = np.searchsorted(self.edges[int(k)], point[mine])
            out[mine] = base[:, None] + self.tables[int(k)][cell] * unit[:, None]
        return np.maximum(np.sort(out, axis=1), 0.0)


def _about(point: Array, width: Array, k: int) -> tuple[Array, Array]:
    return (point, width) if k < 2 else (np.zeros(len(point)), np.maximum(point, 0.02 * width) + 1e-9)


class Settled:
    """What validation decided: each class's members with their weights, and how demand lies about each member."""

    def __init__(
        self, weights: dict[int, dict[str, float]], pools: dict[str, Pooled], stretch: dict[int, float] | None = None
    ) -> None:
        self.weights, self.pools, self.stretch = weights, pools, stretch or {}
        self.used = tuple({name for shares in weights.values() for name in shares})

    def combine(self, points: dict[str, Array], levels: Array | None, width: Array, classes: Array) -> Array:
        if not self.pools:  # nothing was ever observed to follow: as wide as counts of that mean are, and wider
            base = points["methods"]
            spread = np.maximum(base, np.sqrt(base))[:, None] * np.linspace(-1.6, 1.6, len(LEVELS))
            return np.maximum(base[:, None] + spread, 0.0)
        out = np.zeros((len(width), len(LEVELS)))
        for k in np.unique(classes):
            mine = np.flatnonzero(classes == k)
            there = set(points) if levels is None else {*points, "levels"}
            shares = {name: share for name, share in self.weights[int(k)].items() if name in there}
            for name, share in shares.items():
                if name == "levels" and levels is not None:
                    made = levels[mine]
                else:
                    made = self.pools[name].predict(points[name][mine], width[mine], classes[mine])
                out[mine] += made * (share / sum(shares.values()))
            out[mine] = _stretched(out[mine], self.stretch.get(int(k), 1.0))
        return np.maximum(np.nan_to_num(out, posinf=0.0), 0.0)

    def words(self) -> dict[str, dict[str, float]]:
        return {CLASSES[k]: weights for k, weights in self.weights.items()}


def settle(
    points: dict[str, Array],
    levels: Array | None,
    width: Array,
    scale: Array,
    target: Array,
    classes: Array,
    series: Array,
    came: Array,
) -> Settled:
    """target: what came, less what all forecasts missed alike, which judges the members. came: what judges the fan."""
    weight = (scale**-0.25)[:, None]  # between what the sum of errors weighs and what each series alike does
    half = series % 2  # each half is judged by how demand lay about the forecasts of the other
    settled: dict[str, Array] = {}
    for name, point in points.items():
        made = np.zeros((len(target), len(LEVELS)))
        for side in (0, 1):
            other, mine = half != side, half == side
            if not other.any() or not mine.any():
                other = mine = np.ones(len(half), dtype=bool)
            pool = Pooled(point[other], width[other], target[other], classes[other])
            made[mine] = pool.predict(point[mine], width[mine], classes[mine])
        settled[name] = made
    if levels is not None:
        settled["levels"] = levels
    losses = {name: pinball(made, target) * weight[:, 0] for name, made in settled.items()}
    weights: dict[int, dict[str, float]] = {}
    for k in range(4):
        mine = np.flatnonzero(classes == k)
        lean = 1_000 / (1_000 + len(mine))  # a class of few rows leans on what is best for all

        def score(loss: Array, mine: Array = mine, lean: float = lean) -> float:
            own = float(loss[mine].mean()) if len(mine) else 0.0
            return (1 - lean) * own + lean * float(loss.mean())

        order = sorted(METHODS, key=lambda name: score(losses[name]))
        members = [name for name in (*MEMBERS, "methods") if name in settled] + order[:2]
        weights[k] = _mix(members, settled, target, weight[:, 0], score)
    used = {name for shares in weights.values() for name in shares}
    mixed = np.zeros((len(target), len(LEVELS)))
    for k, shares in weights.items():
        mine = np.flatnonzero(classes == k)
        for name, share in shares.items():
            mixed[mine] += share * settled[name][mine]
    stretch = stretches(mixed, came, classes)
    if "seasonal" in points:
        used |= set(RECURRING)
    pools = {name: Pooled(points[name], width, target, classes) for name in used if name in points}
    return Settled(weights, pools, stretch)


def _stretched(quantiles: Array, by: float) -> Array:
    """The fan [rows, levels] drawn apart from its median."""
    middle = quantiles[:, LEVELS.index(0.5), None]
    return np.asarray(np.maximum(middle + by * (quantiles - middle), 0.0))


def stretches(quantiles: Array, came: Array, classes: Array) -> dict[int, float]:
    """Each class's stretch, leaning on that of all regular or all sporadic demand the fewer rows it has."""
    out = {}
    for kin in ((0, 1), (2, 3)):
        rows = np.flatnonzero(np.isin(classes, kin))
        if len(rows) < 100:
            continue
        shared = _stretch(quantiles[rows], came[rows])
        for k in kin:
            mine = np.flatnonzero(classes == k)
            own = _stretch(quantiles[mine], came[mine]) if len(mine) >= 50 else shared
            out[k] = (len(mine) * own + _LEAN * shared) / (len(mine) + _LEAN)
    return out


def _stretch(quantiles: Array, target: Array) -> float:
    """The least stretch at which 80% of what came lay between the quantiles 0.1 and 0.9 (conformalised
    quantile regression, Romano, Patterson & Candès 2019, as a factor)."""
    for by in _WIDENED:
        fan = _stretched(quantiles, float(by))
        inside = (fan[:, LEVELS.index(0.1)] - 1e-9 <= target) & (target <= fan[:, LEVELS.index(0.9)] + 1e-9)
        if inside.mean() >= 0.8:
            return float(by)
    return float(_WIDENED[-1])


def _mix(
    members: list[str], points: dict[str, Array], target: Array, weight: Array, score: Callable[[Array], float]
) -> dict[str, float]:
    """Greedy averaging (Caruana et al. 2004): eight times the member that lowers the loss of the average most."""
    total = np.zeros_like(points[members[0]])
    counts: dict[str, int] = dict.fromkeys(members, 0)
    for step in range(8):
        best = min(members, key=lambda m: score(pinball((total + points[m]) / (step + 1), target) * weight))
        total = total + points[best]
        counts[best] += 1
    even = [name for name in (*MEMBERS, "methods") if name in points]
    weights = {name: 0.75 * count / 8 for name, count in counts.items() if count}
    for name in even:  # what validation prefers by chance costs less so
        weights[name] = weights.get(name, 0.0) + 0.25 / len(even)
    return weights
