"""The benchmark `next-period`: learn before a date, then compare what customers bought in the days after it.

Asked are the customers with purchases before the date and in the window; relevant are the distinct products
bought in the window. `…@12` is over everything (repeats allowed), `new_…@12` over the products the customer had not
turned to before (those left out of the answers, and customers without any new one left out). Every choice, early stop
and learned weight comes from before the date; baselines are fitted on all of it with what their validation chose.
Facts of products (categories, brands, prices) are the catalogue's as it stands; the price of a product may thus be
told by later sales, and only the engine's price features read it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.evaluation.baselines import Lister, networks
from shelfwise.evaluation.evaluate import Row, compare
from shelfwise.metrics import Relevant
from shelfwise.models.recommender import Items, Progress, Recommender
from shelfwise.models.sequences import DAY, Sequences
from shelfwise.schema import EventType, to_micros
from shelfwise.settings import Settings
from shelfwise.training.dataset import Dataset, read_dataset
from shelfwise.training.learn import EngineModel
from shelfwise.training.windows import midnight, unseen

if TYPE_CHECKING:
    from shelfwise.store import Store

K = 12
METRICS = ("recall", "ndcg", "map")
_LEAST = 10
#: Sources of the engine; the same fitted objects answer alone, as baselines.
SOURCES = ("network", "popularity", "repurchase", "item-knn", "ease")
OTHERS = ("ncf", "described")
ROWS = ("engine", *SOURCES, *OTHERS)


def next_period(
    store: Store,
    folder: Path | None,
    settings: Settings,
    cutoff: datetime,
    days: int,
    *,
    only: Iterable[str] | None = None,
    baseline_minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Rows and facts, ready for JSON; "engine" and its sources first.

    {"rows": [{"name", "recall@12", "ndcg@12", "map@12", "new_recall@12", "new_ndcg@12", "new_map@12",
               "intervals": {metric: [low, high]}, "fit_seconds", "score_seconds"}, …],
     "cutoff", "days", "customers", "new_customers", "products", "events", "bought"}
    only: names of rows to measure (see `ROWS`). baseline_minutes: most of fitting each of `OTHERS`; 0 leaves them out,
    None is no limit but their own number of steps. A row of one that time stopped has "stopped_after", seconds.
    Raises NotEnoughData and InvalidRequest.
    """
    chosen = tuple(only or ROWS)
    for name in chosen:
        if name not in ROWS:
            raise InvalidRequest("only", f"no row is called {name!r}; there are {', '.join(ROWS)}")
    pixels = "described" in chosen and baseline_minutes != 0
    dataset = read_dataset(store, folder, settings, progress, pixels=pixels)
    return measure(dataset, settings, cutoff, days, chosen, baseline_minutes=baseline_minutes, progress=progress)


def measure(
    dataset: Dataset,
    settings: Settings,
    cutoff: datetime,
    days: int,
    rows: tuple[str, ...] = ROWS,
    *,
    baseline_minutes: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Like `next_period`, over a dataset at hand."""
    cut = to_micros(cutoff) // 1_000_000
    past, window = dataset.split(cut, days)
    window = window.take(window.kind == EventType.PURCHASE.code)
    bought = past.take(past.kind == EventType.PURCHASE.code)
    customers = np.flatnonzero((bought.lengths() > 0) & (window.lengths() > 0))
    if len(customers) < _LEAST:
        raise NotEnoughData(
            f"{len(customers)} customers who had bought before {cutoff:%Y-%m-%d} bought in the {days} days after it, "
            f"{_LEAST} are needed; choose another cutoff or more days"
        )
    # Learn to answer for as many days as are asked about.
    settings = settings.model_copy(update={"validation_days": days})
    rows = tuple(name for name in rows if name not in OTHERS or baseline_minutes != 0)
    models, seconds = _fitted(past, dataset.features, settings, rows, baseline_minutes, progress)
    stopped = {one.name: getattr(one, "stopped_after", None) for one in models}
    histories, everything = past.select(customers), Relevant.distinct(window.select(customers))
    new = unseen(everything, histories, dataset.features.n)
    now = np.full(len(customers), cut, np.int64)
    tables = compare(models, histories, [(everything, False), (new, True)], (K,), progress, now=now)
    return {
        "rows": [
            _row(row, new_row, seconds.get(row.name, 0.0), stopped[row.name])
            for row, new_row in zip(*tables, strict=True)
        ],
        "cutoff": cutoff.astimezone(UTC).date().isoformat(),
        "days": days,
        "customers": len(customers),
        "new_customers": int((new.lengths() > 0).sum()),
        "products": dataset.features.n,
        "events": past.rows,
        "bought": len(everything.ids),
    }


def _fitted(
    past: Sequences,
    items: Items,
    settings: Settings,
    rows: tuple[str, ...],
    baseline_minutes: float | None,
    progress: Progress | None,
) -> tuple[list[Recommender | Lister], dict[str, float]]:
    """The models of these rows, fitted on all of `past`, and what each takes alone; the engine's is the sum of all."""
    engine = EngineModel(settings=settings, work=None, with_network="engine" in rows or "network" in rows)
    engine.fit(past, items, progress=progress)
    seconds = engine.seconds_alone | {"engine": sum(engine.executor.seconds.values())}
    others = {one.model.name: one.model for one in networks(settings, baseline_minutes)}
    models: list[Recommender | Lister] = []
    for name in rows:
        if name == "engine":
            models.append(engine)
        elif name in SOURCES:
            models.append(engine.models[name])
        else:
            started = time.perf_counter()
            models.append(_early(others[name], past, items, settings, progress))
            seconds[name] = time.perf_counter() - started
    return models, seconds


def _early(model: Any, past: Sequences, items: Items, settings: Settings, progress: Progress | None) -> Recommender:
    """Fitted, and stopped on the newest `validation_days`, which it does not learn from."""
    start = midnight(past) - settings.validation_days * DAY
    fitted: Recommender = model.fit(
        past.before(start), items, validation=past.take(past.time >= start), progress=progress
    )
    return fitted


def _row(row: Row, new: Row, fit_seconds: float, stopped_after: float | None) -> dict[str, Any]:
    fields: dict[str, Any] = {"name": row.name}
    intervals: dict[str, list[float]] = {}
    for prefix, one in (("", row), ("new_", new)):
        estimates = one.estimates()
        for metric in METRICS:
            estimate = estimates[f"{metric}@{K}"]
            fields[f"{prefix}{metric}@{K}"] = round(estimate.mean, 5)
            intervals[f"{prefix}{metric}@{K}"] = [round(estimate.low, 5), round(estimate.high, 5)]
    return fields | {
        "intervals": intervals,
        "fit_seconds": round(fit_seconds, 2),
        "score_seconds": round(row.score_seconds + new.score_seconds, 2),
        **({} if stopped_after is None else {"stopped_after": round(stopped_after, 2)}),
    }
