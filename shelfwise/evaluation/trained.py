"""A shop's training with its measurement: learn before the newest days, measure on them, learn from everything."""

from __future__ import annotations

import logging
import shutil
import time
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation import questions
from shelfwise.evaluation.baselines import contestants_of
from shelfwise.evaluation.evaluate import check_enough, cutoff_of, measure
from shelfwise.evaluation.report import write_training_report
from shelfwise.evaluation.results import Evaluation
from shelfwise.models.bundle import Bundle
from shelfwise.models.bundles import Bundles
from shelfwise.models.recommender import Progress
from shelfwise.settings import Settings
from shelfwise.store import Store
from shelfwise.training.dataset import Dataset, read_dataset
from shelfwise.training.learn import EngineModel
from shelfwise.training.searches import Find, PastSearches
from shelfwise.training.windows import LEAST

_WORK = "work"
_YOUNG = (
    f"fewer than {LEAST} customers came back in the newest days (`validation_days`), so the network and the order of "
    "answers were not learned: content, popularity, what goes together and what is bought again answer, weighed by "
    "fixed weights; train again when more have come"
)
log = logging.getLogger("shelfwise.training")


def learn_bundle(
    store: Store, folder: Path, settings: Settings, progress: Progress | None = None, find: Find | None = None
) -> Bundle:
    """Everything the shop's record teaches, in one unsaved bundle. Raises NotEnoughData.

    find: what a query finds for anybody, so that the ranker learns from searches too; see `PastSearches`.
    folder: the shop's; vectors are cached in `cache`. The network's fits are kept in `work`, so that a run after one
    that was killed goes on inside the fit it was in; once the bundle is saved, `publish` removes them.
    """
    started = time.perf_counter()
    arrived = store.newest_sequence()
    dataset = read_dataset(store, folder, settings, progress)
    searches = None if find is None else PastSearches(store, dataset.customers, dataset.items, find)
    model, evaluation = _measured(dataset, settings, folder / _WORK, searches, progress)
    if evaluation is None:
        model.fit(dataset.sequences, dataset.features, progress=progress)
    else:
        model.refit_on(dataset.sequences, dataset.features, progress)
    assert model.bundle is not None
    metrics: dict[str, Any] = {
        "ranker": {kind: {"chosen": fit.chosen, "ndcg@12": fit.ndcg} for kind, fit in model.fits.items()},
        "seconds": {name: round(value, 2) for name, value in model.executor.seconds.items()},
        "network": [asdict(line) for line in model.curve],
    }
    if model.young:
        metrics["not_learned"] = _YOUNG
        log.warning("%s", _YOUNG)
    if evaluation is not None:
        metrics["evaluation"] = evaluation.to_json()
    learned = _learned(dataset) | {"arrived": arrived, "seconds": round(time.perf_counter() - started, 1)}
    return replace(model.bundle, learned=learned, metrics=metrics)


def publish(bundle: Bundle, bundles: Bundles, folder: Path, settings: Settings) -> str:
    """Save the bundle, let it serve and write its report; what `learn_bundle` kept to go on from, and bundles beyond
    `settings.bundles_kept`, are removed. Returns the version."""
    version = bundles.add(bundle)
    shutil.rmtree(folder / _WORK, ignore_errors=True)
    bundles.prune(settings.bundles_kept)
    write_training_report(bundle, settings, folder / "reports" / version)
    return version


def _measured(
    dataset: Dataset, settings: Settings, work: Path, searches: PastSearches | None, progress: Progress | None
) -> tuple[EngineModel, Evaluation | None]:
    """An engine that has learned all but the newest `validation_days`, and how it did on them beside its sources.
    A shop too young for that gets one that has learned nothing, and no evaluation: what there is goes into learning."""
    model = EngineModel(settings=settings, names=dataset.items, work=work, network_fits=3, searches=searches)
    try:
        check_enough(dataset, settings)
        started = time.perf_counter()
        model.fit(dataset.split(cutoff_of(dataset, settings))[0], dataset.features, progress=progress)
        if model.young:
            raise NotEnoughData(_YOUNG)
        seconds = model.seconds_alone | {model.name: time.perf_counter() - started}
        evaluation = measure(dataset, settings, contestants_of(model, model.models), progress, seconds=seconds)
        evaluation = replace(evaluation, questions=_asked(dataset, settings, model, progress))
    except NotEnoughData:
        return EngineModel(settings=settings, names=dataset.items, work=work, searches=searches), None
    return model, evaluation


def _asked(
    dataset: Dataset, settings: Settings, model: EngineModel, progress: Progress | None
) -> dict[str, Any] | None:
    """`report_questions` of each kind about the newest days, by what the engine has learned already; None for 0."""
    if not settings.report_questions:
        return None
    try:
        return questions.measure(
            dataset,
            settings,
            datetime.fromtimestamp(cutoff_of(dataset, settings), UTC),
            settings.validation_days,
            learned_here=model,
            most=settings.report_questions,
            progress=progress,
        )
    except NotEnoughData as error:
        log.info("no question but the home page's is in the report: %s", error)
        return None


def _learned(dataset: Dataset) -> dict[str, Any]:
    sequences = dataset.sequences
    return {
        "products": len(dataset.items),
        "customers": len(dataset.customers),
        "events": sequences.rows,
        "first": int(sequences.time.min()),
        "last": int(sequences.time.max()),
    }
