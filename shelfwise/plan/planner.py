"""Planner: a shop's forecasts and orders over its record."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import polars as pl

from shelfwise.errors import InvalidRequest, NotEnoughData, UnknownProduct
from shelfwise.plan.demand.accuracy import Accuracy, compare
from shelfwise.plan.demand.holidays import check_country
from shelfwise.plan.demand.model import MOST_HORIZON, Forecast, Progress, forecast
from shelfwise.plan.demand.newcomers import by_analogy
from shelfwise.plan.demand.panel import Panel
from shelfwise.plan.demand.quantiles import mean_of, quantile_at
from shelfwise.plan.demand.record import sales_panel
from shelfwise.plan.inventory.ahead import put_ahead
from shelfwise.plan.inventory.orders import Order, levels, order_list, pressure, span_of, totals
from shelfwise.plan.inventory.simulated import simulate_stock
from shelfwise.plan.inventory.stock import load_stock, put_stock, stock, stock_row
from shelfwise.settings import Settings
from shelfwise.store import Store
from shelfwise.store.pressure import put_pressure

Array = np.ndarray[Any, Any]
BY = ("product", "category", "brand")
_QUIET = 26  # weeks without a sale after which a product is forecast to sell nothing by itself


_USUAL = 8  # weeks that are forecast at least, so that list, chart and table share one forecast


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """history: (week's start, units sold; NaN where there was no stock). starts: the weeks ahead; mean, low, high: of
    demand in them, low to high holding 80%. without, with_order: stock at each week's end, empty without a stock."""

    product: str
    history: list[tuple[date, float]]
    starts: list[date]
    mean: list[float]
    low: list[float]
    high: list[float]
    without: list[float]
    with_order: list[float]
    order: Order | None


class Planner:
    """Forecasts are kept until the record has new events; one is made at a time."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store, self._settings = store, settings
        self._lock = Lock()
        self._kept: dict[tuple[Any, ...], tuple[Panel, Forecast]] = {}
        self._sold: tuple[int, pl.DataFrame] | None = None

    def forecast(
        self,
        *,
        days: int | None = None,
        weeks: int | None = None,
        products: Sequence[str] = (),
        by: str = "product",
        until: datetime | None = None,
        progress: Progress | None = None,
    ) -> pl.DataFrame:
        """Demand in each of the next days or weeks (4 weeks by default): product (or what `by` names), start, mean and
        quantiles q05 … q95, one row a period.

        by: product, category or brand; the mean of a category is the sum of its products'. Products never sold are
        forecast from how those of their category began, when asked for. Raises InvalidRequest, UnknownProduct,
        NotEnoughData."""
        if days is not None and weeks is not None:
            raise InvalidRequest("days", "give days or weeks, not both")
        if by not in BY:
            raise InvalidRequest("by", f"is {by!r}; use one of {', '.join(BY)}")
        horizon = days if days is not None else 4 if weeks is None else weeks
        if not 1 <= horizon <= MOST_HORIZON:
            raise InvalidRequest("days" if days is not None else "weeks", f"is {horizon}; from 1 to {MOST_HORIZON:,}")
        panel, made = self._made("week" if days is None else "day", horizon, until, progress)
        if by != "product":
            if products:
                raise InvalidRequest("product", "cannot be given with by; the sums are of all products")
            return self._summed(panel, made, horizon, by)
        if not products:
            return _frame("product", panel, list(panel.ids), made.quantiles, made.mean)
        quantiles, means = self._of(panel, made, list(products), horizon)
        return _frame("product", panel, list(products), quantiles, means)

    def orders(
        self,
        *,
        day: date | None = None,
        budget: float | None = None,
        progress: Progress | None = None,
    ) -> list[Order]:
        """What to order of every product whose stock is recorded, most urgent first. day: as of this date, from what
        had been sold before it. With the setting `stock_dial`, the list of now is what answers follow. Raises
        NotEnoughData without stock, InvalidRequest."""
        held = stock(self._store)
        if held.is_empty():
            raise NotEnoughData("no stock is recorded; load it with `shelfwise load stock FILE` or PUT /v1/stock")
        rows = totals(held).to_dicts()
        lead_time, review = self._settings.lead_time, self._settings.review
        spans = [span_of(row, lead_time, review) for row in rows]
        horizon = max(lead + every for lead, every in spans)
        until = None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC)
        products = [row["product"] for row in rows]
        panel, made = self._made("week", max(horizon, _USUAL), until, progress)
        quantiles, means = self._of(panel, made, products, max(horizon, _USUAL), strict=False)
        if day is None:
            put_ahead(self._store, products, panel.date_of(panel.periods), means)
        quantiles, means = quantiles[:, :horizon], means[:, :horizon]
        lines = order_list(
            rows,
            quantiles,
            means,
            day or panel.date_of(panel.periods),
            lead_time=lead_time,
            review=review,
            service_level=self._settings.service_level,
            budget=budget,
        )
        if day is None and self._settings.stock_dial > 0:
            put_pressure(self._store, pressure(lines))
        return lines

    def outlook(self, product: str, *, weeks: int = 8, past: int = 39) -> Outlook:
        """One product's past weeks, its forecast, and its stock projected at the mean with and without the order.

        Raises UnknownProduct, NotEnoughData."""
        lines = {line.product: line for line in self.orders()} if len(stock(self._store)) else {}
        panel, made = self._made("week", weeks, None, None)
        quantiles, means = self._of(panel, made, [product], weeks)
        history: list[tuple[date, float]] = []
        if product in panel.ids:
            row = panel.y[panel.ids.index(product), -past:]
            first = panel.periods - len(row)
            history = [(panel.date_of(first + t), float(value)) for t, value in enumerate(row)]
        line = lines.get(product)
        without, with_order = [], []
        if line is not None:
            left = ordered = line.on_hand
            for week in range(weeks):
                left += line.on_order if week == 0 else 0.0
                ordered += (line.on_order if week == 0 else 0.0) + (line.quantity if week == line.lead_weeks else 0.0)
                left = max(0.0, left - float(means[0, week]))
                ordered = max(0.0, ordered - float(means[0, week]))
                without.append(left)
                with_order.append(ordered)
        return Outlook(
            product=product,
            history=history,
            starts=[panel.date_of(panel.periods + week) for week in range(weeks)],
            mean=[float(value) for value in means[0]],
            low=[float(value) for value in quantile_at(quantiles[0], 0.1)],
            high=[float(value) for value in quantile_at(quantiles[0], 0.9)],
            without=without,
            with_order=with_order,
            order=line,
        )

    def accuracy(self, weeks: int = 4) -> Accuracy:
        """The last weeks as forecast from what was known before them, against what came. Raises NotEnoughData."""
        panel = sales_panel(self._store, sold=self._units())
        if panel.periods < weeks + 8:
            raise NotEnoughData(
                f"{panel.periods} whole weeks of sales are recorded; comparing {weeks} of them needs {weeks + 8}"
            )
        until = datetime.combine(panel.date_of(panel.periods - weeks), time(), UTC)
        past, made = self._made("week", weeks, until, None)
        return compare(panel, past, made, weeks)

    def load_stock(self, path: Path) -> tuple[int, list[tuple[int, str]]]:
        """Replace the stock recorded with a file's: rows kept, and (line, problem) of each left out."""
        return load_stock(self._store, path)

    def put_stock(self, rows: Sequence[dict[str, Any]]) -> int:
        """Record the stock of some products; the others' stays. Raises InvalidRecord, having changed nothing."""
        checked = [stock_row(row) for row in rows]
        put_stock(self._store, checked)
        return len(checked)

    def simulate_stock(self) -> int:
        """Put SIMULATED stock on record, for a demo; of how many products."""
        return simulate_stock(self._store)

    def stock(self) -> pl.DataFrame:
        return stock(self._store)

    def _made(
        self, frequency: str, horizon: int, until: datetime | None, progress: Progress | None
    ) -> tuple[Panel, Forecast]:
        reach = max(horizon, _USUAL) if frequency == "week" else horizon  # one forecast for list, chart and table
        key = (frequency, reach, until, self._store.counts().events)
        with self._lock:
            if key not in self._kept:
                if progress:
                    progress(0, 0, "reading sales")
                panel = sales_panel(self._store, frequency=frequency, until=until, sold=self._units())
                settings = self._settings
                panel = replace(panel, country=check_country(settings.country))
                quiet = _QUIET * (7 if frequency == "day" else 1)
                sold = np.nansum(panel.y[:, -quiet:], axis=1) > 0
                active = np.flatnonzero(sold)
                if not len(active):
                    raise NotEnoughData("nothing was sold lately")
                part = forecast(
                    panel.rows(active), reach, threads=max(1, self._settings.threads or 2), progress=progress
                )
                quantiles = np.zeros((len(panel), reach, part.quantiles.shape[2]))
                quantiles[active] = part.quantiles
                made = replace(part, quantiles=quantiles, mean=mean_of(quantiles))
                self._kept = dict(list(self._kept.items())[-3:]) | {key: (panel, made)}
            panel, made = self._kept[key]
        return panel, replace(made, quantiles=made.quantiles[:, :horizon], mean=made.mean[:, :horizon])

    def _units(self) -> pl.DataFrame:
        """Units bought by product and day, read once for each state of the record."""
        events = self._store.counts().events
        if self._sold is None or self._sold[0] != events:
            self._sold = (events, self._store.units_by_day())
        return self._sold[1]

    def _of(
        self, panel: Panel, made: Forecast, products: list[str], horizon: int, *, strict: bool = True
    ) -> tuple[Array, Array]:
        """Quantiles and means of these products; those never sold by analogy. strict: an unknown id is an error."""
        place = {product: i for i, product in enumerate(panel.ids)}
        quantiles = np.zeros((len(products), horizon, made.quantiles.shape[2]))
        means = np.zeros((len(products), horizon))
        fresh = [product for product in products if product not in place]
        if fresh:
            catalogue = self._store.products_frame().select("id", "product_type")
            known = set(catalogue["id"])
            for product in fresh:
                if strict and product not in known:
                    raise UnknownProduct(product)
            by_likeness, mean = by_analogy(panel, catalogue, fresh, horizon)
            alike = {product: n for n, product in enumerate(fresh)}
        for n, product in enumerate(products):
            if product in place:
                quantiles[n], means[n] = made.quantiles[place[product]], made.mean[place[product]]
            else:
                quantiles[n], means[n] = by_likeness[alike[product]], mean[alike[product]]
        return quantiles, means

    def _summed(self, panel: Panel, made: Forecast, horizon: int, by: str) -> pl.DataFrame:
        """Sums by category or brand: the mean is the sum of the products', the spread that of the sum's own history."""
        column = "product_type" if by == "category" else "brand"
        facts = pl.DataFrame({"id": panel.ids}).join(
            self._store.products_frame().select("id", column), on="id", how="left"
        )
        names = facts[column].fill_null("")
        if by == "category":
            names = names.str.split(" > ").list.first()
        groups = names.fill_null("").replace("", "–")
        keys = groups.unique().sort()
        code = groups.replace_strict(keys, pl.int_range(len(keys), eager=True)).to_numpy()
        y = np.zeros((len(keys), panel.periods), dtype=np.float32)
        np.add.at(y, code, np.nan_to_num(panel.y))
        means = np.zeros((len(keys), horizon))
        np.add.at(means, code, made.mean)
        own = forecast(replace(panel, ids=tuple(keys), y=y, static={}, known={}), horizon)
        ratio = means / np.maximum(own.mean, 1e-9)
        return _frame(by, panel, list(keys), own.quantiles * ratio[:, :, None], means)


def _frame(key: str, panel: Panel, names: list[str], quantiles: Array, means: Array) -> pl.DataFrame:
    n, horizon, _ = quantiles.shape
    starts = [panel.date_of(panel.periods + h) for h in range(horizon)]
    columns: dict[str, Any] = {
        key: np.repeat(np.array(names, dtype=object), horizon),
        "start": starts * n,
        "mean": means.ravel().round(3),
    }
    for j, name in enumerate(levels()):
        columns[name] = quantiles[:, :, j].ravel().round(3)
    return pl.DataFrame(columns, schema_overrides={key: pl.String, "start": pl.Date})
