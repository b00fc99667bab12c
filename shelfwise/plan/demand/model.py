"""One model of all products' demand: LightGBM quantile regression beside per-series methods, weighed by validation.

Three members forecast the quantiles of a block of periods (one period, or the whole time an order must last):

- *ratio*: LightGBM quantile regression of demand over the series' scale (Koenker & Bassett 1978 for the loss);
- *residual*: the same of what is left after the per-series forecast, so that trends go on beyond what was seen;
- *methods*: the per-series forecast with the spread its errors had, product by product of the same size and class.

Their weights are those with the least pinball loss over origins held back inside the training part, by demand class;
what is left of miscoverage there is taken away class by class (conformalised quantile regression, Romano et al. 2019).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import lightgbm as lgb
import numpy as np

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.plan.demand.features import CLASSES, Features, Rows, demand_class
from shelfwise.plan.demand.panel import Panel

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int, str], None]

LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)
MEMBERS = ("ratio", "residual", "methods")
_ROWS = 250_000  # of training at most
_TREES = 90
_FEWEST = 400  # rows of training below which only the methods are used
_CELLS = 12  # sizes of forecast within a class whose errors are pooled
MOST_HORIZON = 1_000


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Quantiles of demand: float64 [n, blocks, len(LEVELS)], never negative, rising; mean: [n, blocks]."""

    quantiles: Array
    mean: Array
    weights: dict[str, dict[str, float]]

    def at(self, level: float) -> Array:
        """The quantile at any level, straight between those known and, beyond them, on the outermost line. [n, blocks]"""
        level = min(max(level, 0.0), 0.999)
        return quantile_at(self.quantiles, level)


def quantile_at(quantiles: Array, level: float) -> Array:
    levels = np.array(LEVELS)
    j = int(np.clip(np.searchsorted(levels, level) - 1, 0, len(levels) - 2))
    slope = (quantiles[..., j + 1] - quantiles[..., j]) / (levels[j + 1] - levels[j])
    if level > levels[-1]:  # a tail that falls off as the normal one does, from the last two levels
        reach = float(np.sqrt(np.log((1 - levels[-2]) / (1 - level)) / np.log((1 - levels[-2]) / (1 - levels[-1]))))
        return np.asarray(quantiles[..., -2] + (quantiles[..., -1] - quantiles[..., -2]) * reach)
    return np.maximum(quantiles[..., j] + slope * (level - levels[j]), 0.0)


def forecast(
    panel: Panel,
    horizon: int,
    *,
    blocks: Sequence[tuple[int, int]] | None = None,
    seed: int = 0,
    threads: int = 2,
    members: Sequence[str] = MEMBERS,
    progress: Progress | None = None,
) -> Forecast:
    """Demand of every product of the panel in the periods after it.

    blocks: (first, last) periods ahead, counted from 1, whose total demand is forecast; by default each of the `horizon`
    periods. Raises InvalidRequest for a horizon of no periods, NotEnoughData for an empty panel.
    """
    if not 1 <= horizon <= MOST_HORIZON:
        raise InvalidRequest("horizon", f"is {horizon}; it must be from 1 to {MOST_HORIZON:,} periods")
    if not len(panel) or not np.isfinite(panel.y).any():
        raise NotEnoughData("there are no sales to forecast from")
    parts = list(blocks or [(h, h) for h in range(1, horizon + 1)])
    say = progress or (lambda *_: None)
    classes = demand_class(panel)
    say(0, 3, "validating")
    spare = _held_back(panel, max(last for _, last in parts))
    rng = np.random.default_rng(seed)
    train = _Training(panel, parts, spare, rng, threads)
    settled = train.validate(classes, members)
    say(1, 3, "learning")
    fitted = train.fit(panel.periods, settled.used)
    say(2, 3, "forecasting")
    quantiles = np.zeros((len(panel), len(parts), len(LEVELS)))
    for start in range(0, len(panel), 4_000):
        index = np.arange(start, min(start + 4_000, len(panel)))
        shape = (len(index), len(parts))
        series = np.repeat(index, len(parts))
        first, last = (np.tile([part[j] for part in parts], len(index)) for j in (0, 1))
        rows = train.features.rows(series, np.full(len(series), panel.periods), first, last)
        found = settled.combine(fitted.predict(rows, classes[series]), rows.scale, classes[series])
        quantiles[index] = found.reshape(*shape, len(LEVELS)) * (last - first + 1).reshape(*shape, 1)
    say(3, 3, "done")
    return Forecast(quantiles=quantiles, mean=mean_of(quantiles), weights=settled.words())


def mean_of(quantiles: Array) -> Array:
    """The mean of the distribution whose quantile function runs straight between the levels and on to 0 and 1."""
    levels = np.array([0.0, *LEVELS, 1.0])
    low = np.maximum(2 * quantiles[..., :1] - quantiles[..., 1:2], 0.0)
    high = quantile_at(quantiles, 0.995)[..., None]
    full = np.concatenate([np.minimum(low, quantiles[..., :1]), quantiles, high], axis=-1)
    return np.asarray(((full[..., 1:] + full[..., :-1]) / 2 * np.diff(levels)).sum(-1))


def _held_back(panel: Panel, horizon: int) -> int:
    """How many of the newest periods validation is done on."""
    return max(1, min(horizon + max(2, horizon // 2), panel.periods // 3))


class _Training:
    """The table of what was known at earlier origins and what came."""

    def __init__(
        self, panel: Panel, parts: list[tuple[int, int]], spare: int, rng: np.random.Generator, threads: int
    ) -> None:
        self.panel, self.parts, self.spare, self.threads = panel, parts, spare, threads
        self.rng = rng
        end = panel.periods
        longest = max(last for _, last in parts)
        shortest = min(last for _, last in parts)
        # The newest two or three seasons of origins, as many as the table has room for.
        reach = min(end - 3, max(3 * panel.season if panel.season < 52 else 104, 4 * longest, 24))
        room = int(np.clip(3 * _ROWS / (len(panel) * len(parts)), 6, 60))
        cells = 4e8 / 4 / (len(panel) * longest * 12)  # memory of the methods' forecasts
        room = max(4, min(room, int(cells)))
        oldest = max(min(2, end), end - reach)
        newest = max(end - shortest, 0)
        spread = np.unique(np.linspace(oldest, newest, min(room, max(newest - oldest + 1, 1))).round().astype(int))
        self.tests = np.unique(np.linspace(end - spare, max(end - longest, end - spare), 3).round().astype(int))
        self.tests = self.tests[self.tests >= 1]
        self.origins = spread[(spread >= 1) & (spread < end)]
        self.features = Features(panel, np.concatenate([self.origins, self.tests, [end]]), longest)

    def table(self, origins: Array, after: int, until: int, most: int) -> tuple[Array, Array, Array, Array, Array]:
        """series, origins, first, last, target of blocks that end after period `after` and by `until`, at random."""
        n, parts = len(self.panel), np.array(self.parts)
        cases = [(o, k) for o in origins for k in range(len(parts)) if o + parts[k][1] <= until and o >= after]
        if not cases:
            empty = np.zeros(0, dtype=int)
            return empty, empty, empty, empty, np.zeros(0)
        pairs = np.array(cases)
        total = n * len(pairs)
        chosen = np.arange(total) if total <= most else np.sort(self.rng.choice(total, most, replace=False))
        series, which = chosen % n, chosen // n
        origin, (first, last) = pairs[which, 0], parts[pairs[which, 1]].T
        target = self.features.target(series, origin, first, last)
        place = self.features.place(origin)
        keep = np.isfinite(target) & (self.features.state[series, place, 14] > 0)
        return series[keep], origin[keep], first[keep], last[keep], target[keep]

    def fit(self, until: int, used: Sequence[str]) -> _Fitted:
        series, origin, first, last, target = self.table(self.origins, 0, until, _ROWS)
        if not len(series):
            return _Fitted({}, None)
        rows = self.features.rows(series, origin, first, last)
        members: dict[str, list[lgb.Booster]] = {}
        for name in ("ratio", "residual"):
            if name in used and len(series) >= _FEWEST:
                members[name] = _boost(rows, target, name, self.threads)
        return _Fitted(members, _Pooled(rows, target, demand_class(self.panel)[series]))

    def validate(self, classes: Array, members: Sequence[str]) -> _Settled:
        """The members' weights and what is missing of coverage, from a fit that saw nothing of the newest periods."""
        begin = self.panel.periods - self.spare
        series, origin, first, last, target = self.table(self.tests, begin, self.panel.periods, _ROWS // 2)
        fitted = self.fit(begin, members)
        if len(series) < 50 or fitted.pooled is None:
            return _Settled({k: {"methods": 1.0} for k in range(4)}, {}, ("methods",))
        rows = self.features.rows(series, origin, first, last)
        found = fitted.predict(rows, classes[series])
        return _settle(found, rows.scale, target, classes[series])


class _Pooled:
    """How demand lay about the per-series forecast, for products of the same class and size of forecast."""

    def __init__(self, rows: Rows, target: Array, classes: Array) -> None:
        self.edges: dict[int, Array] = {}
        self.tables: dict[int, Array] = {}
        self.sizes: dict[int, Array] = {}
        for k in range(-1, 4):
            mine = np.flatnonzero(classes == k) if k >= 0 else np.arange(len(target))
            if len(mine) < 30 and k >= 0:
                continue
            base, scale, y = rows.base[mine], _width(rows.base[mine], rows.scale[mine]), target[mine]
            cells = int(np.clip(len(mine) // 200, 1, _CELLS))
            edges = np.unique(np.quantile(base, np.linspace(0, 1, cells + 1)[1:-1])) if cells > 1 else np.zeros(0)
            cell = np.searchsorted(edges, base)
            off = (y - base) / scale
            self.edges[k] = edges
            self.tables[k] = np.array(
                [
                    np.quantile(off[cell == c] if (cell == c).any() else off, LEVELS, method="inverted_cdf")
                    for c in range(len(edges) + 1)
                ]
            )

    def predict(self, rows: Rows, classes: Array) -> Array:
        out = np.zeros((len(rows.base), len(LEVELS)))
        width = _width(rows.base, rows.scale)
        for k in np.unique(classes):
            mine = np.flatnonzero(classes == k)
            table = int(k) if int(k) in self.tables else -1
            cell = np.searchsorted(self.edges[table], rows.base[mine])
            out[mine] = rows.base[mine, None] + self.tables[table][cell] * width[mine, None]
        return np.maximum(out, 0.0)


def _width(base: Array, scale: Array) -> Array:
    return np.maximum(base, 0.3 * scale)


class _Fitted:
    def __init__(self, members: dict[str, list[lgb.Booster]], pooled: _Pooled | None) -> None:
        self.members = members
        self.pooled = pooled

    def predict(self, rows: Rows, classes: Array) -> dict[str, Array]:
        """Each member's quantiles, float64 [rows, levels]."""
        found: dict[str, Array] = {}
        for name, boosters in self.members.items():
            z = np.stack([np.asarray(booster.predict(rows.x)) for booster in boosters], axis=1)
            y = z * rows.scale[:, None] + (rows.base[:, None] if name == "residual" else 0.0)
            found[name] = np.maximum(np.sort(y, axis=1), 0.0)
        if self.pooled is not None:
            found["methods"] = self.pooled.predict(rows, classes)
        else:  # nothing was ever observed to follow: as wide as counts of that mean are, and wider
            spread = np.maximum(rows.base, np.sqrt(rows.base))[:, None] * np.linspace(-1.6, 1.6, len(LEVELS))
            found["methods"] = np.maximum(rows.base[:, None] + spread, 0.0)
        return found


def _boost(rows: Rows, target: Array, name: str, threads: int) -> list[lgb.Booster]:
    z = (target - (rows.base if name == "residual" else 0.0)) / rows.scale
    z = np.clip(z, *np.quantile(z, (0.0005, 0.9995))) if len(z) > 4_000 else z
    weight = rows.scale**0.5
    data = lgb.Dataset(rows.x, z, weight=weight / weight.mean(), params={"max_bin": 127, "verbose": -1})
    params = {
        "objective": "quantile",
        "learning_rate": 0.07,
        "num_leaves": 24,
        "min_data_in_leaf": int(np.clip(len(z) // 400, 20, 300)),
        "feature_fraction": 0.6,
        "bagging_fraction": 0.7,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "num_threads": threads,
        "verbose": -1,
        "seed": 1,
        "deterministic": True,
        "force_row_wise": True,
        "max_bin": 127,
    }
    return [lgb.train(params | {"alpha": level}, data, num_boost_round=_TREES) for level in LEVELS]


class _Settled:
    """What validation decided: weights by class, and the shift of each quantile by class in units of scale."""

    def __init__(self, weights: dict[int, dict[str, float]], shift: dict[int, Array], used: Sequence[str]) -> None:
        self.weights, self.shift, self.used = weights, shift, used

    def combine(self, found: dict[str, Array], scale: Array, classes: Array) -> Array:
        out = np.zeros_like(found["methods"])
        for k in np.unique(classes):
            mine = np.flatnonzero(classes == k)
            weights = {name: w for name, w in self.weights[int(k)].items() if name in found} or {"methods": 1.0}
            total = sum(weights.values())
            mixed = sum(found[name][mine] * (weight / total) for name, weight in weights.items())
            if int(k) in self.shift:
                mixed = mixed + self.shift[int(k)] * scale[mine, None]
            out[mine] = mixed
        return np.maximum(np.sort(np.nan_to_num(out, posinf=0.0), axis=1), 0.0)

    def words(self) -> dict[str, dict[str, float]]:
        return {CLASSES[k]: weights for k, weights in self.weights.items()}


def pinball(quantiles: Array, y: Array) -> Array:
    """Twice the pinball loss of each row, the mean over the levels. [rows]"""
    levels = np.array(LEVELS)
    off = y[:, None] - quantiles
    return np.asarray(2 * np.maximum(levels * off, (levels - 1) * off).mean(1))


_GRID = [w for w in itertools.product((0.0, 0.25, 0.5, 0.75, 1.0), repeat=3) if sum(w) == 1.0]


def _settle(found: dict[str, Array], scale: Array, target: Array, classes: Array) -> _Settled:
    names = [name for name in MEMBERS if name in found]
    weight = scale**-0.25  # between what the sum of errors weighs and what each series alike does
    weights: dict[int, dict[str, float]] = {}
    shift: dict[int, Array] = {}
    grid = [dict(zip(MEMBERS, w, strict=True)) for w in _GRID]
    grid = [w for w in grid if all(name in names or not share for name, share in w.items())]
    losses = np.array([pinball(sum(found[n] * w[n] for n in names), target) * weight for w in grid])  # type: ignore[arg-type]
    overall = losses.mean(1)
    for k in range(4):
        mine = np.flatnonzero(classes == k)
        # A class of few rows leans on what is best for all.
        lean = 2_000 / (2_000 + len(mine))
        own = losses[:, mine].mean(1) if len(mine) else overall
        score = (1 - lean) * own / max(own.mean(), 1e-12) + lean * overall / max(overall.mean(), 1e-12)
        weights[k] = {name: share for name, share in grid[int(np.argmin(score))].items() if share}
        if len(mine) < 200:
            continue
        mixed = sum(found[name][mine] * share for name, share in weights[k].items())
        off = (target[mine, None] - mixed) / scale[mine, None]
        shift[k] = np.array([np.quantile(off[:, j], level) for j, level in enumerate(LEVELS)])
        shift[k] *= len(mine) / (len(mine) + 1_000)
    used = tuple(name for name in MEMBERS if any(name in w for w in weights.values()))
    return _Settled(weights, shift, used)
