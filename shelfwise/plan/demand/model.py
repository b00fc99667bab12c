"""One model of all products' demand beside per-series methods, weighed by validation, with conformal quantiles.

Members forecast the mean of a block of periods (one period, or the whole time an order must last):

- *ratio*: LightGBM on demand over the series' scale;
- *residual*: LightGBM on what is left after the per-series forecast, so that trends go on beyond what was seen;
- *seasonal*: LightGBM on what is left after the same period of last season (of days: after today's level times what
  last year's days say), where the panel holds more than that season or year;
- *methods*: the average of the smoothing methods, and each method by itself;
- *levels* forecasts quantiles themselves: LightGBM on the pinball loss of demand over the scale, at five levels.

Any other member's quantiles are those of its own errors on origins held back inside the training part, of products of
the same demand class and size of forecast, in units of an absolute error that LightGBM predicts (normalised split
conformal prediction, Papadopoulos et al. 2002, by class: Mondrian). The members' quantiles are averaged with the
weights of least pinball loss there, and the fan is drawn apart where it held too little of what came. A peak that
comes once a season is not among what was held back: where last season lay far from what is usual, it counts for more.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.plan.demand.features import GROWN, YEAR, Features, Rows, demand_class
from shelfwise.plan.demand.methods import METHODS
from shelfwise.plan.demand.mixing import MEMBERS, RECURRING, Settled, settle
from shelfwise.plan.demand.panel import Panel
from shelfwise.plan.demand.quantiles import LEVELS, mean_of, quantile_at
from shelfwise.plan.demand.shifts import on_one_level

if TYPE_CHECKING:
    import lightgbm as lgb

Array = np.ndarray[Any, Any]
Progress = Callable[[int, int, str], None]

_MEANS = ("ratio", "seasonal", "residual")
_REACH = 3.0  # expected absolute errors
_SEASON_AGO = METHODS.index("seasonal naive")
_LEARNED = (0.1, 0.3, 0.5, 0.7, 0.9)  # of "levels"; between them straight
_ROWS = 150_000  # of training at most
_TREES = 90
_FEWEST = 400  # rows of training below which only the methods are used
MOST_HORIZON = 1_000


@dataclass(frozen=True, kw_only=True)
class Forecast:
    """Quantiles of demand: float64 [n, blocks, len(LEVELS)], never negative, rising; mean: [n, blocks]."""

    quantiles: Array
    mean: Array
    weights: dict[str, dict[str, float]]

    def at(self, level: float) -> Array:
        """The quantile at any level: straight between those known, and beyond them as the normal tail. [n, blocks]"""
        level = min(max(level, 0.0), 0.999)
        return quantile_at(self.quantiles, level)


def forecast(
    panel: Panel,
    horizon: int,
    *,
    blocks: Sequence[tuple[int, int]] | None = None,
    seed: int = 0,
    threads: int = 1,
    members: Sequence[str] = MEMBERS,
    progress: Progress | None = None,
) -> Forecast:
    """Demand of every product of the panel in the periods after it.

    blocks: (first, last) periods ahead, counted from 1, whose total demand is forecast; by default each of the
    `horizon` periods. Raises InvalidRequest for a horizon of no periods, NotEnoughData for an empty panel.
    """
    if not 1 <= horizon <= MOST_HORIZON:
        raise InvalidRequest("horizon", f"is {horizon}; it must be from 1 to {MOST_HORIZON:,} periods")
    if not len(panel) or not np.isfinite(panel.y).any():
        raise NotEnoughData("there are no sales to forecast from")
    panel = replace(panel, y=without_outliers(panel.y))
    parts = list(blocks or [(h, h) for h in range(1, horizon + 1)])
    panel = replace(panel, y=on_one_level(panel, 3 * _held_back(panel, max(last for _, last in parts))))
    say = progress or (lambda *_: None)
    classes = demand_class(panel)
    say(0, 3, "validating")
    spare = _held_back(panel, max(last for _, last in parts))
    rng = np.random.default_rng(seed)
    train = _Training(panel, parts, spare, rng, threads)
    if panel.season < 2 or panel.periods < 1.25 * (YEAR if panel.frequency == "day" else panel.season):
        members = [name for name in members if name != "seasonal"]
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
        points, width = fitted.points(rows)
        combined = settled.combine(points, fitted.levels(rows), width, classes[series])
        if panel.season > spare and "seasonal" in settled.pools:
            sure = _unforeseen(points, width, classes[series])
            sure = (sure * train.features.alike(series, np.full(len(series), panel.periods), last))[:, None]
            again = np.mean(
                [settled.pools[name].predict(points[name], width, classes[series]) for name in RECURRING], axis=0
            )
            combined = (1 - sure) * combined + sure * again
        quantiles[index] = combined.reshape(*shape, len(LEVELS)) * (last - first + 1).reshape(*shape, 1)
    say(3, 3, "done")
    return Forecast(quantiles=quantiles, mean=mean_of(quantiles), weights=settled.words())


def _unforeseen(points: dict[str, Array], width: Array, classes: Array) -> Array:
    """How far each row leans on what came a season ago, [rows], 0 to 0.8: where steady demand then lay further from
    what the smoothings expect than their errors reach. Validation, on the newest periods, saw no such peak."""
    off = np.abs(points["seasonal naive"] - points["methods"]) / np.maximum(width, 1e-9)
    return np.asarray(np.where(classes == 0, 0.8 * np.clip(off - _REACH, 0.0, 1.0), 0.0))


def without_outliers(y: Array) -> Array:
    """Demand [n, T] with single orders far beyond all others cut down: at most three times a product's fourth largest
    period, where it has sold in eight or more. One wholesale order says little of the next weeks."""
    filled = np.nan_to_num(y)
    if y.shape[1] < 8:
        return y
    fourth = np.partition(filled, -4, axis=1)[:, -4]
    cap = np.where((filled > 0).sum(1) >= 8, 3 * fourth, np.inf)
    return np.asarray(np.minimum(y, cap[:, None]), dtype=np.float32)


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
        # The newest two or three seasons of origins, of days two years, as many as the table has room for.
        reach = max(3 * panel.season if panel.season < 52 else 104, 4 * longest, 24)
        self.again = _SEASON_AGO
        if panel.frequency == "day":
            self.again = GROWN
            reach = max(reach, 2 * YEAR + longest) if end >= 1.25 * YEAR else reach
        reach = min(end - 3, reach)
        room = int(np.clip(3 * _ROWS / (len(panel) * len(parts)), 6, 60))
        cells = 4e8 / 4 / (len(panel) * longest * 12)  # memory of the methods' forecasts
        room = max(4, min(room, int(cells)))
        oldest = max(min(2, end), end - reach)
        newest = max(end - shortest, 0)
        spread = np.unique(np.linspace(oldest, newest, min(room, max(newest - oldest + 1, 1))).round().astype(int))
        self.tests = np.unique(np.linspace(end - spare, max(end - longest, end - spare), 4).round().astype(int))
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
        if len(series) < _FEWEST or not set(MEMBERS) & set(used):
            return _Fitted({}, [], None, self.again)
        return _learn(self.features.rows(series, origin, first, last), target, used, self.threads, self.again)

    def validate(self, classes: Array, members: Sequence[str]) -> Settled:
        """What a fit that saw nothing of the newest periods forecast of them, and what came."""
        begin = self.panel.periods - self.spare
        series, origin, first, last, target = self.table(self.tests, begin, self.panel.periods, _ROWS // 3)
        if len(series) < 12:
            return Settled({k: {"methods": 1.0} for k in range(4)}, {})
        fitted = self.fit(begin, members)
        rows = self.features.rows(series, origin, first, last)
        points, width = fitted.points(rows)
        less = np.maximum(target - np.where(classes[series] < 2, _common(points, target, rows.scale), 0.0), 0.0)
        return settle(points, fitted.levels(rows), width, rows.scale, less, classes[series], series, target)


def _common(points: dict[str, Array], target: Array, scale: Array) -> Array:
    """Half of what all forecasts of the mean missed alike in the held-back periods, [rows]: what moved all products
    together in one span says little of the next, whose forecasts begin where it ended."""
    missed = [(target - points[name]).sum() / scale.sum() for name in ("methods", *_MEANS) if name in points]
    least = min(missed, key=abs)
    return np.asarray(0.5 * scale * least * float(min(missed) > 0 or max(missed) < 0))


class _Fitted:
    """Boosters of what is left of demand over the scale, of its quantiles, and of its absolute error."""

    def __init__(
        self, boosters: dict[str, lgb.Booster], quantiles: list[lgb.Booster], error: lgb.Booster | None, again: int
    ) -> None:
        self.boosters, self.quantiles, self.error, self._again = boosters, quantiles, error, again

    def levels(self, rows: Rows) -> Array | None:
        """Quantiles of the member that learns them [rows, levels]; None where it was not fitted."""
        if not self.quantiles:
            return None
        learned = np.stack([np.asarray(booster.predict(rows.x, num_threads=1)) for booster in self.quantiles], axis=1)
        learned = np.sort(np.maximum(learned, 0.0), axis=1) * rows.scale[:, None]
        place = np.interp(LEVELS, _LEARNED, np.arange(len(_LEARNED)))
        # Beyond the outermost levels the fan goes on as wide again as a normal one would.
        place = np.where(np.array(LEVELS) < _LEARNED[0], -0.4, np.where(np.array(LEVELS) > _LEARNED[-1], 4.5, place))
        below = np.clip(np.floor(place).astype(int), 0, len(_LEARNED) - 2)
        part = place - below
        return np.asarray(np.maximum(learned[:, below] * (1 - part) + learned[:, below + 1] * part, 0.0))

    def points(self, rows: Rows) -> tuple[dict[str, Array], Array]:
        """Each member's forecast of the mean [rows], and the absolute error to expect [rows]."""
        points = {"methods": rows.base} | {name: np.maximum(rows.methods[m], 0.0) for m, name in enumerate(METHODS)}
        for name, booster in self.boosters.items():
            z = np.asarray(booster.predict(rows.x, num_threads=1))
            points[name] = np.maximum(z * rows.scale + _base(rows, name, self._again), 0.0)
        if self.error is None:
            return points, np.maximum(0.8 * rows.base, 0.3 * rows.scale)
        spread = np.asarray(self.error.predict(rows.x, num_threads=1))
        return points, np.maximum(spread, 0.02) * rows.scale


def _base(rows: Rows, name: str, again: int) -> Array:
    """What a member's booster is added to. again: the method that says what last season does."""
    if name == "ratio":
        return np.zeros(len(rows.base))
    return rows.base if name == "residual" else np.maximum(rows.methods[again], 0.0)


def _learn(rows: Rows, target: Array, used: Sequence[str], threads: int, again: int) -> _Fitted:
    weight = rows.scale**0.5
    weight = weight / weight.mean()
    params = {
        "objective": "l2",
        "learning_rate": 0.06,
        "num_leaves": 20,
        "min_data_in_leaf": int(np.clip(len(target) // 400, 20, 300)),
        "feature_fraction": 0.5,
        "bagging_fraction": 0.6,
        "bagging_freq": 1,
        "lambda_l2": 1.0,
        "num_threads": threads,
        "verbose": -1,
        "seed": 1,
        "deterministic": True,
        "force_row_wise": True,
        "max_bin": 127,
    }
    import lightgbm as lgb  # takes most of a second, which a start that forecasts nothing does not wait for

    data = lgb.Dataset(rows.x, np.zeros(len(target)), weight=weight, params=params, free_raw_data=False)
    boosters: dict[str, lgb.Booster] = {}
    left = target - rows.base
    for name in _MEANS:
        z = (target - _base(rows, name, again)) / rows.scale
        z = np.clip(z, *np.quantile(z, (0.001, 0.999)))
        if name in used:
            boosters[name] = lgb.train(params, data.set_label(z), num_boost_round=_TREES)
        if name in boosters:
            fit = np.asarray(boosters[name].predict(rows.x, num_threads=threads))
            left = target - fit * rows.scale - _base(rows, name, again)
    learned = []
    if "levels" in used:
        data.set_label(np.clip(target / rows.scale, 0.0, np.quantile(target / rows.scale, 0.999)))
        at = params | {"objective": "quantile", "learning_rate": 0.08}
        learned = [lgb.train(at | {"alpha": level}, data, num_boost_round=80) for level in _LEARNED]
    z = np.abs(left) / rows.scale
    z = np.minimum(z, np.quantile(z, 0.995))
    error = lgb.train(params, data.set_label(z), num_boost_round=_TREES // 2)
    return _Fitted(boosters, learned, error, again)
