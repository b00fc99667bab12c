"""Time split → every model through one evaluation: whole catalogue, with intervals, by segment.

`compare` is the one way in which anything here is measured; the benchmarks use it too. `evaluate` asks about the
newest days of the record (`validation_days`): models know what happened before, each customer with a past is asked
at that moment, and what they bought in those days is relevant. Networks choose when to stop on as many days just
before; models that only count choose there too and are then fitted again up to the very moment, so that the
baselines are as strong as they can be.
"""

from __future__ import annotations

import dataclasses
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from shelfwise import metrics
from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.evaluation.baselines import (
    OURS,
    Contestant,
    Lister,
    contestants_of,
    counting,
    fit_baselines,
    networks,
)
from shelfwise.evaluation.results import MAIN, SEGMENT_METRICS, Evaluation, Facts, Result, Segment, Table
from shelfwise.metrics import Doubles, Estimate, Mask, Relevant
from shelfwise.models.recommender import Items, Progress, Recommender, recommend_both
from shelfwise.models.sequences import DAY, Floats, Ints, Longs, Sequences
from shelfwise.schema import EventType
from shelfwise.settings import Settings
from shelfwise.training.dataset import Dataset, levels, read_dataset
from shelfwise.training.learn import EngineModel
from shelfwise.training.windows import midnight

if TYPE_CHECKING:
    from shelfwise.store import Store

KS: tuple[int, ...] = (10, 20)
LEAST = 20  # customers with purchases in the window; fewer say nothing
_CATEGORIES = 8  # the largest categories get a segment each
_HEAD = 0.5  # the most bought products that make up this share of all purchases are the head


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one model reached on the same customers as every other row of its table.

    ids: int32 [n, max(ks)], what it recommended. values: float64 [n] a metric, as `metrics.ranking` gives.
    """

    name: str
    ids: Ints = field(repr=False)
    values: dict[str, Doubles] = field(repr=False)
    score_seconds: float

    def mean(self, metric: str) -> float:
        """The mean over the customers that have something relevant."""
        return float(np.nanmean(self.values[metric]))

    def estimates(self, *, seed: int = 0) -> dict[str, Estimate]:
        """Every metric's mean with its 95 % bootstrap interval."""
        return metrics.summarise(self.values, seed=seed)


def compare(
    models: Sequence[Recommender | Lister],
    histories: Sequences,
    wanted: Sequence[tuple[Relevant, bool]],
    ks: Sequence[int] = (10, 20),
    progress: Progress | None = None,
    *,
    now: Longs | None = None,
) -> list[list[Row]]:
    """Measure each fitted model's top max(ks) of the whole catalogue: a table of rows for each of `wanted`.

    histories[i] is the query of customer i. wanted: what followed, relevant[i], and whether lists leave out the
    products of the history; customers without anything relevant count in no metric. now: int64 [n], seconds.
    """
    tables: list[list[Row]] = [[] for _ in wanted]
    excluding = [exclude for _, exclude in wanted]
    for place, model in enumerate(models):
        _tell(progress, place, len(models), f"measuring {model.name}")
        started = time.perf_counter()
        if isinstance(model, Lister):
            lists = [model.recommend(histories, max(ks), now=now, exclude_seen=exclude) for exclude in excluding]
        else:
            lists = recommend_both(model, histories, max(ks), excluding, now=now)
        seconds = (time.perf_counter() - started) / len(wanted)
        for table, (relevant, _), (ids, _) in zip(tables, wanted, lists, strict=True):
            values = metrics.ranking(ids, relevant, ks)
            table.append(Row(name=model.name, ids=ids, values=values, score_seconds=seconds))
    _tell(progress, len(models), len(models), "measured")
    return tables


def _tell(progress: Progress | None, done: int, total: int, status: str) -> None:
    if progress is not None:
        progress(done, total, status)


def evaluate(
    store: Store,
    folder: Path,
    settings: Settings,
    *,
    only: Iterable[str] | None = None,
    baseline_minutes: float | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure every model (or `only` these, by name) on the newest `validation_days` of the shop's record.

    folder: the shop's, where vectors of texts and photos are cached and training keeps its checkpoints.
    baseline_minutes: most of fitting each network among the baselines; 0 leaves them out, None is no limit but their
    own number of steps. Raises NotEnoughData, and InvalidRequest for an unknown
    model.
    """
    learning = networks(settings, baseline_minutes, squared=True)
    alone = [*counting(), *learning]
    known = [*OURS, *(one.model.name for one in alone)]
    chosen = set(known) if only is None else set(only) or set(known)
    for name in sorted(chosen - set(known)):
        raise InvalidRequest("only", f"no model is called {name!r}; there are {', '.join(known)}")
    pixels = baseline_minutes != 0 and any(name.startswith("described") for name in chosen)
    dataset = read_dataset(store, folder, settings, progress, pixels=pixels)
    cutoff = cutoff_of(dataset, settings)
    check_enough(dataset, settings)
    models: list[Contestant] = []
    seconds: dict[str, float] = {}
    if chosen & set(OURS):
        work = folder / "work" / "evaluation"
        engine = EngineModel(settings=settings, work=work)
        started = time.perf_counter()
        engine.fit(dataset.split(cutoff)[0], dataset.features, progress=progress)
        seconds = engine.seconds_alone | {engine.name: time.perf_counter() - started}
        shutil.rmtree(work, ignore_errors=True)
        models = [one for one in contestants_of(engine, engine.models) if one.model.name in chosen]
    there = {one.model.name for one in models}
    left_out = {} if baseline_minutes != 0 else {one.model.name: "minutes" for one in learning}
    left_out = {name: why for name, why in left_out.items() if name in chosen}
    alone = [one for one in alone if one.model.name in chosen - there - set(left_out)]
    seconds |= fit_baselines(alone, dataset, cutoff, settings, progress)
    return measure(dataset, settings, [*models, *alone], progress, seconds=seconds, left_out=left_out)


def cutoff_of(dataset: Dataset, settings: Settings) -> int:
    """Seconds: the midnight at which the newest `validation_days` of the record begin."""
    return midnight(dataset.sequences) - settings.validation_days * DAY


def check_enough(dataset: Dataset, settings: Settings) -> None:
    """Raise NotEnoughData, before anything long is begun, where `measure` would."""
    _, customers = _questions_of(dataset, settings)
    if len(customers) < LEAST:
        raise NotEnoughData(
            f"only {len(customers)} customers with a past chose a product in the newest {settings.validation_days} "
            f"days, and {LEAST} are needed: load more events, or raise the setting validation_days"
        )


def _questions_of(dataset: Dataset, settings: Settings) -> tuple[Relevant, Longs]:
    """What everybody chose in the window, and which customers are asked: those with a past who chose something."""
    past, window = dataset.split(cutoff_of(dataset, settings))
    purchases = window.kind == EventType.PURCHASE.code
    relevant = Relevant.distinct(window.take(purchases) if purchases.any() else window)
    return relevant, np.flatnonzero((past.lengths() > 0) & (relevant.lengths() > 0))


def measure(
    dataset: Dataset,
    settings: Settings,
    models: Sequence[Contestant],
    progress: Progress | None = None,
    *,
    seconds: Mapping[str, float] | None = None,
    left_out: Mapping[str, str] | None = None,
) -> Evaluation:
    """Ask models that are fitted already, on events before `cutoff_of` and none later, about the days since.

    seconds: how long each took to fit, by name. left_out: as `Evaluation` has it. Raises NotEnoughData.
    """
    check_enough(dataset, settings)
    cutoff = cutoff_of(dataset, settings)
    past, window = dataset.split(cutoff)
    relevant, customers = _questions_of(dataset, settings)
    histories, relevant = past.select(customers), relevant.select(customers)
    seconds = seconds or {}
    ground = _Ground.of(dataset.features, past, histories, seed=settings.seed)
    again = np.isin(relevant.keys(dataset.features.n), Relevant.distinct(histories).keys(dataset.features.n))
    baselines = {one.model.name for one in models if one.baseline}
    stopped = {one.model.name: getattr(one.model, "stopped_after", None) for one in models}
    tables = []
    wanted = {"everything": relevant, "new": relevant.keep(~again)}
    compared = compare(
        [one.model for one in models],
        histories,
        [(relevant, False), (wanted["new"], True)],
        KS,
        progress,
        now=np.full(len(customers), cutoff, np.int64),
    )
    for (key, right), rows in zip(wanted.items(), compared, strict=True):
        rows = [row for row in rows if (row.ids >= 0).any()]  # repurchase has none when nothing seen may be shown
        tables.append(
            Table(
                key=key,
                n=int((right.lengths() > 0).sum()),
                rows=tuple(
                    replace(
                        ground.result(row, rows, baselines, seconds.get(row.name, 0.0)),
                        stopped_after=stopped[row.name],
                    )
                    for row in rows
                ),
                segments=tuple(ground.segments(rows, right)),
            )
        )
    return Evaluation(
        shop=settings.name,
        language=settings.language,
        made=datetime.now(UTC),
        facts=Facts(
            products=dataset.features.n,
            customers=len(dataset.customers),
            events=dataset.sequences.rows,
            first=int(dataset.sequences.time.min()),
            cutoff=cutoff,
            until=cutoff + settings.validation_days * DAY,
            days=settings.validation_days,
            with_text=_with(dataset.features.text),
            with_photo=_with(dataset.features.image),
            relevant="purchase" if (window.kind == EventType.PURCHASE.code).any() else "any",
        ),
        tables=tuple(tables),
        curves={one.model.name: curve for one in models if (curve := _curve(one.model))},
        settings=settings.model_dump(mode="json", exclude={"store", "host", "port", "workers"}),
        left_out=dict(left_out or {}),
    )


def _curve(model: Recommender | Lister) -> list[dict[str, float]]:
    """Its epochs, for a model that learns over epochs and tells of them (`NetworkRecommender.curve`)."""
    return [dataclasses.asdict(epoch) for epoch in getattr(model, "curve", ())]


def _with(vectors: Floats | None) -> int:
    return 0 if vectors is None else int(vectors.any(axis=1).sum())


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """What results are judged by besides hits: who the customers are, how well known the products are."""

    features: Items
    popularity: Longs  # [n_items], customers who turned to the product before the cutoff
    customers: int
    events: Longs  # [n], length of each customer's history
    head: Mask  # [n_items]
    seed: int

    @classmethod
    def of(cls, features: Items, past: Sequences, histories: Sequences, *, seed: int) -> _Ground:
        popularity = np.bincount(Relevant.distinct(past).ids, minlength=features.n)
        order = np.argsort(-popularity, kind="stable")
        before = np.cumsum(popularity[order]) - popularity[order]
        head = np.zeros(features.n, np.bool_)
        head[order] = before < _HEAD * popularity.sum()
        return cls(
            features=features,
            popularity=popularity,
            customers=int((past.lengths() > 0).sum()),
            events=histories.lengths(),
            head=head,
            seed=seed,
        )

    def result(self, row: Row, rows: Sequence[Row], baselines: set[str], fit_seconds: float) -> Result:
        ids = row.ids[:, : KS[0]]
        vectors = self.features.text if self.features.text is not None else self.features.image
        groups = (
            self.features.category if self.features.category is not None else np.full(self.features.n, -1, np.int32)
        )
        spread = (
            metrics.diversity(ids, vectors=vectors) if vectors is not None else metrics.diversity(ids, groups=groups)
        )
        beyond = metrics.summarise(
            {"diversity": spread, "novelty": metrics.novelty(ids, self.popularity, self.customers)}, seed=self.seed
        )
        unequal = metrics.gini(ids, self.features.n)
        beyond = {"coverage": metrics.coverage(ids, self.features.n), **beyond}
        beyond["gini"] = Estimate(unequal, np.nan, np.nan, len(ids))
        against = metrics.summarise(
            {
                other.name: row.values[MAIN] - other.values[MAIN]
                for other in rows
                if other.name in baselines and other.name != row.name
            },
            seed=self.seed,
        )
        return Result(
            name=row.name,
            baseline=row.name in baselines,
            fit_seconds=fit_seconds,
            score_seconds=row.score_seconds,
            metrics=row.estimates(seed=self.seed),
            beyond=beyond,
            against=against,
        )

    def segments(self, rows: Sequence[Row], relevant: Relevant) -> Iterator[Segment]:
        """Customers by length of history, products by popularity, the largest categories by name."""
        there = relevant.lengths() > 0
        if not there.any():
            return
        few = int(np.quantile(self.events[there], 0.25))
        for name, mask in (("new", self.events <= few), ("old", self.events > few)):
            yield from self._segment(rows, relevant.keep(mask[relevant.owners()]), "customers", name, few)
        for name, mask in (("head", self.head), ("tail", ~self.head)):
            yield from self._segment(rows, relevant.keep(mask[relevant.ids]), "products", name, int(mask.sum()))
        if self.features.category is None or len(self.features.category_names) < 2:
            return
        category, names = levels(self.features.category, self.features.category_names, 1)
        of_relevant = category[relevant.ids]
        sizes = np.bincount(of_relevant[of_relevant >= 0], minlength=len(names))
        for code in np.argsort(-sizes, kind="stable")[:_CATEGORIES]:
            kept = relevant.keep(of_relevant == code)
            yield from self._segment(rows, kept, "categories", names[code], int((category == code).sum()))

    def _segment(self, rows: Sequence[Row], relevant: Relevant, group: str, name: str, size: int) -> Iterator[Segment]:
        chosen = np.flatnonzero(relevant.lengths() > 0)
        if len(chosen) < LEAST:
            return
        part = relevant.select(chosen)
        values: dict[str, Doubles] = {}
        for row in rows:
            measured = metrics.ranking(row.ids[chosen], part, KS[:1])
            values |= {f"{row.name} {key}": measured[key] for key in SEGMENT_METRICS}
        estimates = metrics.summarise(values, seed=self.seed)
        results = {row.name: {key: estimates[f"{row.name} {key}"] for key in SEGMENT_METRICS} for row in rows}
        yield Segment(group=group, name=name, size=size, n=len(chosen), results=results)
