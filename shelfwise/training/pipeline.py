"""The record → bundle: dataset → network, counts → ranker → everything once more on all the data.

The ranker needs questions whose answers the sources have not seen. So the newest events are cut into up to `WINDOWS`
windows (`windows.py`); for each, the counting sources are fitted on what came before it, and the engine's own
candidates are collected for customers active in it. The network is fitted once, before the first window. Then the
sources are fitted on everything, with what was chosen kept.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from operator import is_
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.rank import FEATURES
from shelfwise.engine.request import Filters, Request
from shelfwise.engine.state import events_read, states_of
from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.baselines import bounded_networks, contestants_of
from shelfwise.evaluation.evaluate import check_enough, cutoff_of, measure
from shelfwise.evaluation.results import Evaluation
from shelfwise.metrics import Relevant
from shelfwise.models.bundle import Bundle
from shelfwise.models.cooccurrence import Cooccurrence
from shelfwise.models.ease import Ease
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Items, Progress, Recommender
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, Floats, IdMap, Ints, Longs, Sequences
from shelfwise.schema import EventType
from shelfwise.settings import Settings
from shelfwise.training.dataset import Dataset, read_dataset
from shelfwise.training.ranker import Fit, Questions, collect, fit_ranker
from shelfwise.training.train import Epoch, NetworkRecommender
from shelfwise.training.windows import LEAST, Window, bought, followed, lookers, midnight, unseen, windows_of

if TYPE_CHECKING:
    from shelfwise.store import Store

POPULAR = 40  # most popular products, which are no answer to a look
QUESTIONS = 1_500  # most customers asked in a window; of 1,700, 1,000 taught up to 3% less
_PURCHASE = EventType.PURCHASE.code
_DEEPEST = 200  # most an answer may hold


class EngineModel:
    """The engine as one row among models: learns a bundle from sequences, answers with `Engine` itself.

    refit: fit the sources once more with the validation events, after the ranker has learned from them.
    network: False leaves the network out. work: where its fits are kept, over or not, so that a process that was killed
    can be followed by one that asks for the same; who gave the folder removes it. network_fits: how often the network
    is fitted in all, `settings.minutes` being shared among them (by default once, and once more to refit).

    After `fit`:
    bundle:  the `Bundle`, products named by their inside id unless `names` were given.
    models:  the fitted sources by name; the same objects answer as baselines.
    seconds: what each took, over all its fits. alone: what each source takes that is fitted for itself: choosing and
             the last fit, without the ranker's windows.
    fits:    how the ranker's heads were chosen. curve: the network's, with its validation.
    """

    name = "engine"

    def __init__(
        self,
        settings: Settings,
        *,
        names: IdMap | None = None,
        refit: bool = True,
        network: bool = True,
        work: Path | None = None,
        network_fits: int | None = None,
    ) -> None:
        self.settings = settings
        self.refit = refit
        self.bundle: Bundle | None = None
        self.models: dict[str, Recommender] = {}
        self.seconds: dict[str, float] = {}
        self.alone: dict[str, float] = {}
        self.fits: dict[str, Fit] = {}
        self.curve: list[Epoch] = []
        self._names = names
        self._with_network = network
        self._work = work
        self._begun = 0  # fits of the network
        self._network_fits = network_fits or (2 if refit else 1)
        self._engine: Engine | None = None
        self._content: tuple[tuple[Any, Any], tuple[Any, dict[str, Any]]] | None = (
            None  # texts and photos, what was made of them
        )

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn. Without `validation`: the first time, the newest `validation_days` are the validation; later, only
        the sources are fitted on `train`, the ranker stays."""
        if validation is None and self.bundle is not None:
            network, ranker = self.models.get("network"), self.bundle.ranker
            # What is learned now takes their place, also in memory.
            self.bundle, self._engine, self.models = None, None, {}
            self._finish(train, items, network, ranker, progress)
            return self
        if validation is None:
            everything, cut = train, midnight(train) - self.settings.validation_days * DAY
            windows = windows_of(train, cut, self.settings.validation_days * DAY)
        elif validation.rows and train.rows and int(validation.time.min()) > int(train.time.max()):
            everything = followed(train, validation)
            span = -(-(int(validation.time.max()) - int(validation.time.min())) // DAY) * DAY or DAY
            windows = windows_of(everything, int(validation.time.min()), span)
        else:
            # Last-item validation: customers are asked each at their own time, and nothing lies further back.
            everything = followed(train, validation)
            first = validation.time[np.minimum(validation.offsets[:-1], max(validation.rows - 1, 0))]
            windows = [Window(train, validation, np.asarray(first, np.int64))]
        if not windows:
            raise NotEnoughData(
                f"fewer than {LEAST} customers came back in the newest {self.settings.validation_days} days; "
                "load more events, or set validation_days higher"
            )
        newest = windows[-1]
        windows = windows if self.refit else windows[-1:]
        network = self._fit_network(windows[0], items, progress)
        self._choose(newest, items, progress)
        ranker = self._fit_ranker(windows, items, network, progress)
        self._finish(everything if self.refit else newest.before, items, network, ranker, progress)
        return self

    def recommend(
        self, histories: Sequences, k: int, *, now: Longs | None = None, exclude_seen: bool = False
    ) -> tuple[Ints, Floats]:
        """Top k of the whole catalogue, k at most 200: (ids int32 [n, k], -1 for none; scores float32 [n, k])."""
        assert self._engine is not None
        assert self.bundle is not None
        times = np.full(len(histories), self.bundle.until, np.int64) if now is None else now
        # The engine leaves out what was bought; a view that is no purchase has to be left out here.
        other = exclude_seen and bool((histories.kind != _PURCHASE).any())
        asked = min(_DEEPEST, 4 * k + 50) if other else k
        request = Request(session="evaluation", k=asked, exclude_purchased=exclude_seen, filters=_ALL)
        states = states_of(histories.last(events_read(self.settings.memory, exclude_seen)), times)
        ids, scores = self._engine.recommend_many(states, request)
        if not other:
            return ids, scores
        kept = np.full((len(ids), k), -1, np.int32), np.full((len(ids), k), -np.inf, np.float32)
        for row, found in enumerate(ids):
            left = np.flatnonzero((found >= 0) & ~np.isin(found, histories.items_of(row)))[:k]
            kept[0][row, : len(left)] = found[left]
            kept[1][row, : len(left)] = scores[row, left]
        return kept

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:
        """Scores of its best 200, everything else -inf: the engine never scores a whole catalogue."""
        assert self.bundle is not None
        n = self.bundle.facts.n
        result = np.full((len(histories), n + 1), -np.inf, np.float32)
        ids, found = self.recommend(histories, min(_DEEPEST, n), now=now)
        np.put_along_axis(result, np.where(ids >= 0, ids, n), found, 1)
        return result[:, :n]

    @contextmanager
    def _timed(self, name: str, *, alone: bool = True) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            took = time.perf_counter() - started
            for total in (self.seconds, self.alone) if alone else (self.seconds,):
                total[name] = total.get(name, 0.0) + took

    def _fit_network(self, window: Window, items: Items, progress: Progress | None) -> NetworkRecommender | None:
        if not self._with_network:
            return None
        with self._timed("network"):
            model = NetworkRecommender(self._network_settings(), None, self._next_folder(), keep=True)
            model.fit(window.before, items, validation=window.after, progress=progress)
        self._count_earlier(model)
        self.curve = model.curve
        return model

    def _refit_network(
        self, chosen: NetworkRecommender, everything: Sequences, items: Items, progress: Progress | None
    ) -> NetworkRecommender:
        with self._timed("network"):
            folder = self._next_folder()
            model = NetworkRecommender(self._network_settings(), chosen.config, folder, keep=True, plan=chosen.plan)
            chosen.network = None  # its tables make room for the new ones
            model.fit(everything, items, progress=progress)
        self._count_earlier(model)
        return model

    def _network_settings(self) -> Settings:
        """A limit of minutes is for all fits together."""
        return self.settings.model_copy(update={"minutes": self.settings.minutes / self._network_fits})

    def _next_folder(self) -> Path | None:
        """Of the next fit of the network: each has its own, in which it finds itself again."""
        self._begun += 1
        return None if self._work is None else self._work / f"network-{self._begun}"

    def _count_earlier(self, model: NetworkRecommender) -> None:
        for total in (self.seconds, self.alone):
            total["network"] += model.earlier

    def _choose(self, newest: Window, items: Items, progress: Progress | None) -> None:
        """What validation decides about the counting sources; kept for every later fit."""
        with self._timed("popularity"):
            popularity = Popularity().fit(newest.before, items, validation=newest.after, progress=progress)
        with self._timed("repurchase"):
            again = Repurchase().fit(newest.before, items, validation=newest.after, progress=progress)
        self._half_life = popularity.half_life
        self._again = again.half_life, again.rhythm

    def _counted(self, train: Sequences, items: Items, progress: Progress | None, *, alone: bool) -> dict[str, Any]:
        half_life, rhythm = self._again
        models: tuple[Recommender, ...] = (
            Popularity(half_life=self._half_life),
            Repurchase(half_life=half_life, rhythm=rhythm),
            Cooccurrence(),
            Ease(),
        )
        for model in models:
            with self._timed(model.name, alone=alone):
                model.fit(train, items, progress=progress)
        return {model.name: model for model in models}

    def _bundle(
        self, counted: dict[str, Any], items: Items, network: Any, train: Sequences, ranker: Any = None
    ) -> Bundle:
        """What follows from texts and photos alone is made once, and again only for other ones."""
        told = items.text, items.image
        made = self._content if self._content and all(map(is_, self._content[0], told)) else None
        bundle = Bundle.make(
            items=self._names or IdMap(map(str, range(items.n))),
            features=replace(items, text=None, image=None) if made else items,
            artefacts=_artefacts(counted) | {"network": None if network is None else network.network, "ranker": ranker},
            until=int(train.time.max()) if train.rows else 0,
            settings=self.settings.model_dump(mode="json", exclude=set(_NOT_LEARNING)),
        )
        if made:
            vectors, artefacts = made[1]
            return replace(bundle.with_artefacts(**artefacts), content_vectors=vectors)
        artefacts = {name: bundle.artefacts[name] for name in _OF_CONTENT if name in bundle}
        self._content = told, (bundle.content_vectors, artefacts)
        return bundle

    def _fit_ranker(self, windows: list[Window], items: Items, network: Any, progress: Progress | None) -> Any:
        bundle: Bundle | None = None
        asked: dict[bool, list[Questions]] = {False: [], True: []}
        visits: list[Questions] = []
        for window in windows:
            counted = self._counted(window.before, items, progress, alone=False)
            if bundle is None:
                bundle = self._bundle(counted, items, network, window.before)
            else:
                until = int(window.before.time.max())
                bundle = replace(bundle.with_artefacts(**_artefacts(counted)), until=until)
            with self._timed("candidates", alone=False):
                for new in asked:
                    asked[new].append(self._questions(bundle, window, new, progress))
                visits.append(self._visits(bundle, window, progress))
        del bundle, counted
        with self._timed("ranker", alone=False):
            ranker, self.fits = fit_ranker(
                FEATURES,
                {"home": asked[False], "new": asked[True], "visit": visits},
                seed=self.settings.seed,
                threads=self.settings.threads or 0,
                fallback="ease",
                progress=progress,
            )
        return ranker

    def _questions(self, bundle: Bundle, window: Window, new: bool, progress: Progress | None) -> Questions:
        chosen = window.active()
        if len(chosen) > QUESTIONS:
            chosen = np.sort(np.random.default_rng(self.settings.seed).choice(chosen, QUESTIONS, replace=False))
        before, after = window.before.select(chosen), window.after.select(chosen)
        wanted = bought(after)
        if new:
            wanted = unseen(wanted, before, bundle.facts.n)
            some = np.flatnonzero(wanted.lengths() > 0)
            before, wanted, chosen = before.select(some), wanted.select(some), chosen[some]
        return self._asked(bundle, before, window.now[chosen], wanted, new, progress)

    def _visits(self, bundle: Bundle, window: Window, progress: Progress | None) -> Questions:
        """Questions of who has just looked at something: half as if nobody knew them. What most people buy anyway is
        no answer: it would be right often, and say nothing of the look."""
        chosen = window.active()
        chosen = np.random.default_rng(self.settings.seed).permutation(chosen)[: QUESTIONS // 2]
        anyway = bundle.popularity.order[: min(POPULAR, bundle.facts.n // 20)]
        asked = []
        for known, part in ((False, chosen[: len(chosen) // 2]), (True, chosen[len(chosen) // 2 :])):
            histories, now, wanted = lookers(window, part, bundle.facts.n, known=known)
            asked.append(
                self._asked(bundle, histories, now, wanted.keep(~np.isin(wanted.ids, anyway)), False, progress)
            )
        return asked[0].joined(asked[1])

    def _asked(
        self, bundle: Bundle, before: Sequences, now: Longs, wanted: Relevant, new: bool, progress: Progress | None
    ) -> Questions:
        engine = Engine(bundle, Catalogue(bundle))
        request = Request(session="evaluation", k=12, exclude_purchased=new, filters=_ALL)
        answers = engine.candidates_many(states_of(before.last(events_read(self.settings.memory, new)), now), request)
        return collect(
            answers,
            [wanted.ids[wanted.offsets[i] : wanted.offsets[i + 1]] for i in range(len(wanted))],
            progress=progress,
        )

    def _finish(
        self, everything: Sequences, items: Items, network: Any, ranker: Any, progress: Progress | None
    ) -> None:
        counted = self._counted(everything, items, progress, alone=True)
        if network is not None:
            network = self._refit_network(network, everything, items, progress) if self.refit else network
            counted["network"] = network
        self.models = counted
        self.bundle = self._bundle(counted, items, network, everything, ranker)
        self._engine = Engine(self.bundle, Catalogue(self.bundle))


_ALL = Filters(availability=None)


def _artefacts(counted: dict[str, Any]) -> dict[str, Any]:
    """The counting sources by their names in a bundle."""
    names = {"popularity": "popularity", "repurchase": "repurchase", "item-knn": "cooccurrence", "ease": "ease"}
    return {artefact: counted[name] for name, artefact in names.items()}


_WORK = "work"
_OF_CONTENT = ("content", "content_index", "alike")
_NOT_LEARNING = ("store", "host", "port", "workers", "durable", "event_columns", "product_columns")


def learn_bundle(store: Store, folder: Path, settings: Settings, progress: Progress | None = None) -> Bundle:
    """Everything the shop's record teaches, in one unsaved bundle. Raises NotEnoughData.

    folder: the shop's; vectors are cached in `cache`. The network's fits are kept in `work`, so that a run after one
    that was killed goes on inside the fit it was in; once the bundle is saved, `forget_work` removes them.
    """
    started = time.perf_counter()
    arrived = store.newest_sequence()
    dataset = read_dataset(store, folder, settings, progress, pixels=settings.baseline_minutes > 0)
    work = folder / _WORK
    model, evaluation = _measured(dataset, settings, work, progress)
    dataset = replace(dataset, features=replace(dataset.features, pixels=None))  # no model to come learns from them
    model.fit(dataset.sequences, dataset.features, progress=progress)
    assert model.bundle is not None
    metrics: dict[str, Any] = {
        "ranker": {kind: {"chosen": fit.chosen, "ndcg@12": fit.ndcg} for kind, fit in model.fits.items()},
        "seconds": {name: round(value, 2) for name, value in model.seconds.items()},
        "network": [asdict(line) for line in model.curve],
    }
    if evaluation is not None:
        metrics["evaluation"] = evaluation.to_json()
    return replace(
        model.bundle,
        learned=_learned(dataset) | {"arrived": arrived, "seconds": round(time.perf_counter() - started, 1)},
        metrics=metrics,
    )


def forget_work(folder: Path) -> None:
    """Remove what `learn_bundle` kept in the shop's folder to go on from."""
    shutil.rmtree(folder / _WORK, ignore_errors=True)


def _measured(
    dataset: Dataset, settings: Settings, work: Path, progress: Progress | None
) -> tuple[EngineModel, Evaluation | None]:
    """An engine that has learned all but the newest `validation_days`, and how it did on them beside its sources
    and the neural baselines. A shop too young for that gets a new engine and no evaluation: what there is goes into
    learning."""
    model = EngineModel(settings, names=dataset.items, work=work, network_fits=3)
    try:
        check_enough(dataset, settings)
        cutoff = cutoff_of(dataset, settings)
        started = time.perf_counter()
        model.fit(dataset.split(cutoff)[0], dataset.features, progress=progress)
        seconds = model.alone | {model.name: time.perf_counter() - started}
        others = bounded_networks(dataset, cutoff, settings, progress)
        found = measure(
            dataset,
            settings,
            [*contestants_of(model, model.models), *others.models],
            progress,
            seconds=seconds | others.seconds,
            left_out=others.left_out,
        )
    except NotEnoughData:
        return EngineModel(settings, names=dataset.items, work=work), None
    return model, found


def _learned(dataset: Dataset) -> dict[str, Any]:
    sequences = dataset.sequences
    return {
        "products": len(dataset.items),
        "customers": len(dataset.customers),
        "events": sequences.rows,
        "first": int(sequences.time.min()),
        "last": int(sequences.time.max()),
    }
