"""What the global model reads of a series at an origin about a block of periods ahead.

Everything is known at the origin: the methods' forecasts, the newest values, the same weeks of earlier seasons, the
whole panel's season, the calendar, facts known ahead. Amounts are divided by the series' scale, so that one model
serves products that sell one a month and a thousand a day.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from shelfwise.plan.demand.holidays import easter_distance, holiday_counts
from shelfwise.plan.demand.methods import METHODS, STATE, run
from shelfwise.plan.demand.panel import Panel

Array = np.ndarray[Any, Any]

YEAR = 364  # days, so that weekdays meet
#: How many periods "lately" is.
WINDOW = {"day": 56, "week": 26, "month": 18, "quarter": 8, "year": 5}
#: Further spans whose mean is read, and (short, long): how a group's sales have grown lately.
_WIDTHS = {"day": (14, 28), "week": (4, 8, 13), "month": (12,), "quarter": (4,), "year": (2,)}
_GROWTH = {"day": (14, 56), "week": (4, 13), "month": (3, 12), "quarter": (2, 6), "year": (1, 3)}
_AMOUNTS = [STATE.index(name) for name in STATE if not name.startswith(("share", "periods"))]
GROWN = METHODS.index("last season's growth")
_BASE = [METHODS.index(name) for name in ("simple smoothing", "damped trend", "seasonal smoothing", "theta")]


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Rows of the model's table. x: float32 [rows, features]; base: a per-series forecast of the block's mean; scale:
    the series' usual amount; both float64 [rows]; methods: each method's forecast [rows]."""

    x: Array
    base: Array
    scale: Array
    methods: list[Array]


class Features:
    """The methods run once over a panel up to its last origin; rows for any series, origin and block after that."""

    def __init__(self, panel: Panel, origins: Array, horizon: int) -> None:
        self.panel = panel
        self.origins = np.unique(origins)
        self.horizon = horizon
        self.window = WINDOW[panel.frequency]
        forecasts, self.state = run(panel.y, self.origins, horizon, panel.season, self.window)
        self.sums = np.concatenate(
            [np.zeros((*forecasts.shape[:3], 1), np.float32), np.cumsum(forecasts, axis=3, dtype=np.float32)], axis=3
        )
        known = np.isfinite(panel.y)
        values = np.where(known, panel.y, 0.0)
        self._sum, self._count = _cumulative(values), _cumulative(known)
        mean = values.sum(1) / np.maximum(known.sum(1), 1)
        usual = np.where(known, values / np.maximum(mean, 1e-9)[:, None], 0.0)
        weight = known.sum(0)
        self._panel_sum = np.concatenate([[0.0], np.cumsum(usual.sum(0) / np.maximum(weight, 1))])
        self._groups = [(codes, *_grouped(usual, known, codes)) for codes in self._codes(len(panel))]
        lately, ever = self.state[:, :, 4], self.state[:, :, 6]
        scale = np.maximum(np.nan_to_num(lately), 0.25 * np.nan_to_num(ever))
        self.scale = np.where(scale > 0, scale, 1.0).astype(np.float64)
        self.category = {name: np.asarray(codes, dtype=np.float32) for name, codes in panel.static.items()}
        days = [np.datetime64(panel.date_of(t)) for t in range(panel.periods + horizon + 1)]
        dates = np.array(days, dtype="datetime64[D]")
        year_day = (dates - dates.astype("datetime64[Y]").astype("datetime64[D]")).astype(int)
        self._year_day = year_day.astype(np.float32)
        self._weekday = ((dates.astype(int) + 3) % 7).astype(np.float32)
        self._month_day = (dates - dates.astype("datetime64[M]").astype("datetime64[D]")).astype(np.float32)
        self._holidays: tuple[Array, Array] | None = None
        if panel.country:
            starts = [panel.date_of(t) for t in range(panel.periods + horizon + 2)]
            counts = holiday_counts(panel.country, starts)
            self._holidays = np.concatenate([[0.0], np.cumsum(counts)]), easter_distance(starts)
        self._known = {}
        for name, matrix in panel.known.items():
            filled = np.isfinite(matrix)
            self._known[name] = (_cumulative(np.where(filled, matrix, 0.0)), _cumulative(filled))

    def place(self, origins: Array) -> Array:
        """Where each origin stands among `self.origins`."""
        return np.asarray(np.searchsorted(self.origins, origins))

    def target(self, series: Array, origins: Array, first: Array, last: Array) -> Array:
        """The mean of a block's periods, first … last counted from 1; NaN where any is unknown."""
        total = self._sum[series, origins + last] - self._sum[series, origins + first - 1]
        count = self._count[series, origins + last] - self._count[series, origins + first - 1]
        return np.where(count == last - first + 1, total / np.maximum(count, 1), np.nan)

    def method(self, m: int, series: Array, place: Array, first: Array, last: Array) -> Array:
        sums = self.sums[m]
        return np.asarray((sums[series, place, last] - sums[series, place, first - 1]) / (last - first + 1))

    def rows(self, series: Array, origins: Array, first: Array, last: Array) -> Rows:
        panel, place = self.panel, self.place(origins)
        scale = self.scale[series, place]
        methods = [self.method(m, series, place, first, last) for m in range(len(METHODS))]
        base = np.mean([methods[m] for m in _BASE], axis=0)
        daily = panel.frequency == "day"
        if daily:
            annual = self._annual(series, origins, first, last, scale)
            level = (methods[METHODS.index("simple smoothing")] + methods[METHODS.index("seasonal smoothing")]) / 2
            methods[GROWN] = level * annual
        columns: list[Array] = [values / scale for values in methods]
        columns.append(base / scale)
        state = self.state[series, place].astype(np.float64)
        state[:, _AMOUNTS] /= scale[:, None]
        columns += list(state.T)
        season = panel.season
        back = season * ((last - 1) // season + 1)
        for lag in (back, back + season):
            columns.append(self._mean(series, origins + first - 1 - lag, origins + last - lag) / scale)
        columns.append(self._mean(series, origins + first - 2 - back, origins + last + 1 - back) / scale)
        if season != 7 and daily:
            columns.append(self._mean(series, origins - 7, origins) / scale)
        if daily:  # the same weekdays of the last four weeks
            week = 7 * ((last - 1) // 7 + 1)
            lags = [
                self._mean(series, origins + first - 1 - week - 7 * j, origins + last - week - 7 * j) for j in range(4)
            ]
            known = np.isfinite(lags)
            columns.append(np.where(known, lags, 0.0).sum(0) / np.maximum(known.sum(0), 1) / scale)
            columns.append(annual)
            columns.append(self._mean(series, origins + first - 1 - YEAR, origins + last - YEAR) / scale)
        for width in _WIDTHS[panel.frequency]:
            columns.append(self._mean(series, origins - width, origins) / scale)
        columns.append(self._panel_ratio(origins, first, last, back))
        columns += self._growth(series, origins)
        columns += [first.astype(np.float32), np.log1p(scale)]
        if len(np.unique(last - first)) > 1:
            columns.append(last - first)
        middle = np.minimum(origins + (first + last) // 2 - 1 + (first + last) % 2, len(self._year_day) - 1)
        if panel.frequency != "year":
            columns.append(self._year_day[middle])
        if panel.frequency == "day":
            columns += [self._weekday[middle], self._month_day[middle]]
        if self._holidays is not None and panel.frequency != "year":
            columns += self._festive(origins, first, last, YEAR * ((last - 1) // YEAR + 1) if daily else back, middle)
        for total, count in self._known.values():
            now = _mean_of(total, count, series, origins + first - 1, origins + last)
            usual = _mean_of(total, count, series, origins - self.window, origins)
            columns += [now, now - usual]
            with np.errstate(invalid="ignore", divide="ignore"):
                columns.append(np.where((now > 0) & (usual > 0), now / usual, np.nan))  # of prices
        columns += [codes[series] for codes in self.category.values()]
        x = np.empty((len(series), len(columns)), dtype=np.float32)
        for j, column in enumerate(columns):
            x[:, j] = column
        return Rows(x=x, base=base, scale=scale, methods=methods)

    def alike(self, series: Array, origins: Array, last: Array) -> Array:
        """How like the level before the origin is to that a season before: 1 up to a fifth more or less, 0 from half
        as much more on. [rows]"""
        back = self.panel.season * ((last - 1) // self.panel.season + 1)
        width = min(self.panel.season, 13)
        now = self._mean(series, origins - width, origins)
        then = self._mean(series, np.maximum(origins - width - back, 0), np.maximum(origins - back, 0))
        with np.errstate(invalid="ignore", divide="ignore"):
            apart = np.abs(np.log(now / then))
        return np.asarray(np.nan_to_num(np.clip((np.log(1.5) - apart) / (np.log(1.5) - np.log(1.2)), 0.0, 1.0)))

    def _mean(self, series: Array, start: Array, end: Array) -> Array:
        return _mean_of(self._sum, self._count, series, start, end)

    def _codes(self, n: int) -> list[Array]:
        """Groups of products whose growth is read: all of them, and those of each fact with few values."""
        groups = [np.zeros(n, dtype=int)]
        for codes in self.panel.static.values():
            _, group = np.unique(np.asarray(codes), return_inverse=True)
            if 2 <= group.max() + 1 <= n // 20:
                groups.append(group)
        return groups

    def _growth(self, series: Array, origins: Array) -> list[Array]:
        """How much more a group's products have sold of late than over a longer while."""
        short, long = _GROWTH[self.panel.frequency]
        growth = []
        for group, total, count in self._groups:
            of = group[series]
            now = _mean_of(total, count, of, origins - short, origins)
            before = _mean_of(total, count, of, origins - long, origins)
            growth.append(np.where(before > 0, now / np.maximum(before, 1e-9), np.nan))
        return growth

    def _annual(self, series: Array, origins: Array, first: Array, last: Array, scale: Array) -> Array:
        """How a block of days, with the week about it, compared a year ago with the four weeks before the origin: the
        product's own sums, leaning on all products'. 1 where nothing is known of a year ago. [rows]"""
        back = YEAR * ((last - 1) // YEAR + 1)
        start, end, origin = origins + first - 8 - back, origins + last + 7 - back, origins - back
        everybody, most = self._panel_sum, len(self._panel_sum) - 1
        start, end, begin = np.clip(start, 0, most), np.clip(end, 0, most), np.clip(origin - 28, 0, most)
        ok = (origin >= 56) & (end > start)
        origin = np.clip(origin, 0, most)
        then = (everybody[end] - everybody[start]) / np.maximum(end - start, 1)
        before = (everybody[origin] - everybody[begin]) / 28
        ratio = np.where(ok & (before > 0), then / np.maximum(before, 1e-9), 1.0)
        own, was = self._mean(series, start, end), self._mean(series, begin, origin)
        lean = 2 * (scale + 1)
        own = (28 * own + lean * ratio) / (28 * was + lean)
        return np.clip(np.where(ok & np.isfinite(own), own, ratio), 0.2, 5.0)

    def _festive(self, origins: Array, first: Array, last: Array, back: Array, middle: Array) -> list[Array]:
        """Public holidays a period: in a block, more than a season ago in it, just before and after it; days to Easter,
        then and a season ago."""
        assert self._holidays is not None
        total, easter = self._holidays
        most = len(total) - 1

        def between(start: Array, end: Array) -> Array:
            return np.asarray(total[np.clip(end, 0, most)] - total[np.clip(start, 0, most)])

        start, end, length = origins + first - 1, origins + last, last - first + 1
        now, then = between(start, end) / length, between(start - back, end - back) / length
        known = start - back >= 0
        ago = np.where(known, easter[np.clip(middle - back, 0, len(easter) - 1)], np.nan)
        around = [between(start - 1, start), between(end, end + 1)]
        return [now, np.where(known, now - then, np.nan), *around, easter[middle], ago]

    def _panel_ratio(self, origins: Array, first: Array, last: Array, back: Array) -> Array:
        """How much more all products together sold in the same block a season ago than just before it."""
        width = min(self.panel.season, 13)
        start, end, origin = origins + first - 1 - back, origins + last - back, origins - back
        ok = (start >= 0) & (origin >= width)
        total = self._panel_sum
        then = (total[np.where(ok, end, 0)] - total[np.where(ok, start, 0)]) / (last - first + 1)
        before = (total[np.where(ok, origin, 0)] - total[np.where(ok, origin - width, 0)]) / width
        return np.where(ok & (before > 0), then / np.maximum(before, 1e-9), np.nan)


def demand_class(panel: Panel) -> Array:
    """0 smooth, 1 erratic, 2 intermittent, 3 lumpy: mean interval between sales above 1.32, squared variation of the
    sizes above 0.49 (Syntetos, Boylan & Croston 2005)."""
    known = np.isfinite(panel.y)
    sold = known & (np.nan_to_num(panel.y) > 0)
    count = np.maximum(sold.sum(1), 1)
    interval = known.sum(1) / count
    mean = np.where(sold, panel.y, 0).sum(1) / count
    square = (np.where(sold, panel.y, 0).astype(np.float64) ** 2).sum(1) / count
    variation = np.maximum(square - mean**2, 0) / np.maximum(mean, 1e-9) ** 2
    return np.asarray((variation > 0.49) + 2 * (interval > 1.32))


CLASSES = ("smooth", "erratic", "intermittent", "lumpy")


def _cumulative(values: Array) -> Array:
    total = np.zeros((values.shape[0], values.shape[1] + 1), dtype=np.float64 if values.dtype != bool else np.int32)
    np.cumsum(values, axis=1, out=total[:, 1:])
    return total


def _grouped(usual: Array, known: Array, group: Array) -> tuple[Array, Array]:
    """Cumulative sums and counts of each group's products, [groups, T + 1]."""
    shape = (int(group.max()) + 1, usual.shape[1])
    total, count = np.zeros(shape), np.zeros(shape)
    np.add.at(total, group, usual)
    np.add.at(count, group, known)
    return _cumulative(total), _cumulative(count)


def _mean_of(total: Array, count: Array, series: Array, start: Array, end: Array) -> Array:
    most = total.shape[1] - 1
    start, end = np.clip(start, 0, most), np.clip(end, 0, most)
    number = count[series, end] - count[series, start]
    return np.where(number > 0, (total[series, end] - total[series, start]) / np.maximum(number, 1), np.nan)
