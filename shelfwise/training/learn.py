"""Learn: the steps of a training in order, events in, bundle out.

    plan → fit → candidates → ranker → publish

The ranker needs questions whose answers the sources have not seen. So the newest events are cut into windows; for each,
the counting sources are fitted on what came before it, and the engine's own candidates are collected for the questions
asked in it. The network is fitted once, before the first window. Then the sources are fitted on everything, with what
was chosen kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from operator import is_
from pathlib import Path
from typing import Any, Self

import numpy as np

from shelfwise.catalogue.products import AVAILABILITIES
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.rank import FEATURES, GOES_WITH, PRIOR, SCORES
from shelfwise.engine.request import Request
from shelfwise.engine.state import events_read, states_of
from shelfwise.metrics import Mask
from shelfwise.models.bundle import Bundle
from shelfwise.models.complements import Complements, content_of
from shelfwise.models.ranker import Head, Ranker
from shelfwise.models.ratings import Ratings
from shelfwise.models.recommender import Items, Progress, Recommender
from shelfwise.models.sequences import Floats, IdMap, Ints, Longs, Sequences
from shelfwise.models.taste import Taste
from shelfwise.schema import Availability, EventType
from shelfwise.settings import Settings
from shelfwise.training.complements import fit_complements
from shelfwise.training.executor import Executor, Local
from shelfwise.training.fit import ARTEFACTS, Choices, choose, fit_counting, fit_network, refit_network
from shelfwise.training.fit_ranker import OF_FEW, WRONG, Fit, Questions, collect, fit_ranker
from shelfwise.training.memory import give_back
from shelfwise.training.network import Epoch
from shelfwise.training.plan import Plan, plan_of
from shelfwise.training.questions import EVERYTHING, OF_EVERY_WINDOW, questions_of
from shelfwise.training.searches import PastSearches

_PURCHASE = EventType.PURCHASE.code
_IN, _OUT = (AVAILABILITIES.index(each) for each in (Availability.IN_STOCK, Availability.OUT_OF_STOCK))
_DEEPEST = 200  # most an answer may hold
_OF_CONTENT = ("content", "content_index", "alike")
_NOT_LEARNING = ("store", "host", "port", "workers", "durable", "event_columns", "product_columns")


@dataclass(kw_only=True)
class EngineModel:
    """The engine as a `Recommender`: learns a bundle from sequences, answers with `Engine` itself.

    names: outside ids of the products (default: their inside ids as text). refit: fit the sources once more with the
    validation events, after the ranker has learned from them. with_network: False leaves the network out. work: where
    its fits are kept, so that a process that was killed can be followed by one that asks for the same. network_fits:
    how often it is fitted in all, `settings.minutes` being shared among them. searches: what customers had sought.

    A shop that begins, without a window to be judged by, learns what needs no choice: no network, and a ranker of fixed
    weights; `young` says so.

    After `fit`: `bundle`; `models`, the fitted sources by name, which answer as baselines; `fits`, how the ranker's
    heads were chosen; `curve`, the network's with its validation; `executor.seconds`, what each step took.
    """

    settings: Settings
    names: IdMap | None = None
    refit: bool = True
    with_network: bool = True
    work: Path | None = None
    network_fits: int | None = None
    executor: Executor = field(default_factory=Local)
    searches: PastSearches | None = None

    name: str = field(default="engine", init=False)
    bundle: Bundle | None = field(default=None, init=False)
    models: dict[str, Recommender] = field(default_factory=dict, init=False)
    fits: dict[str, Fit] = field(default_factory=dict, init=False)
    curve: list[Epoch] = field(default_factory=list, init=False)
    seconds_alone: dict[str, float] = field(default_factory=dict, init=False)
    young: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        self._begun = 0  # fits of the network
        self._content: tuple[tuple[Any, Any], tuple[Any, Mapping[str, Any]]] | None = None
        self._space: tuple[tuple[Any, Any], Floats] | None = None
        self._choices = Choices(None, None, None)
        self._complements_head: Head | None = None
        self._engine: Engine | None = None

    def fit(
        self,
        train: Sequences,
        items: Items,
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,
    ) -> Self:
        """Learn. Without `validation` the newest `validation_days` are the validation."""
        plan = plan_of(train, validation, self.settings.validation_days, refit=self.refit)
        network = None
        self.young = not plan.windows
        if self.with_network and plan.windows:
            folder = self._next_folder()
            network = self.executor.run(
                "network", lambda: fit_network(plan.windows[0].liked(), items, self._bounded(), folder, progress)
            )
            self.curve = network.curve
        self._choices = choose(plan.newest and plan.newest.liked(), items, self.executor, progress)
        ranker = self._learn_ranker(plan, items, network, progress)
        self._publish(plan.everything, items, network, ranker, progress)
        return self

    def refit_on(self, train: Sequences, items: Items, progress: Progress | None = None) -> Self:
        """The sources once more on `train`, with the ranker and all that was chosen."""
        assert self.bundle is not None, "fit first"
        network, ranker = self.models.get("network"), self.bundle.ranker
        self.bundle, self._engine, self.models = None, None, {}  # what is learned now takes their place in memory
        self._publish(train, items, network, ranker, progress)
        return self

    def recommend(
        self, histories: Sequences, k: int, *, now: Longs | None = None, exclude_seen: bool = False
    ) -> tuple[Ints, Floats]:
        """Top k of the whole catalogue, k at most 200: (ids int32 [n, k], -1 for none; scores float32 [n, k])."""
        assert self._engine is not None, "fit first"
        times = np.full(len(histories), self._engine.bundle.until, np.int64) if now is None else now
        # The engine leaves out what was bought; a view that is no purchase has to be left out here.
        other = exclude_seen and bool((histories.kind != _PURCHASE).any())
        deep = min(_DEEPEST, 4 * k + 50) if other else k
        # What is asked for are products, and variants of one are several.
        request = Request(session="evaluation", k=deep, exclude_purchased=exclude_seen, filters=EVERYTHING, variants=0)
        states = states_of(histories.last(events_read(self.settings.memory, exclude_seen)), times)
        ids, scores = self._engine.recommend_many(states, request)
        if not other:
            return ids, scores
        kept = np.full((len(ids), k), -1, np.int32), np.full((len(ids), k), -np.inf, np.float32)
        for row, answer in enumerate(ids):
            left = np.flatnonzero((answer >= 0) & ~np.isin(answer, histories.items_of(row)))[:k]
            kept[0][row, : len(left)] = answer[left]
            kept[1][row, : len(left)] = scores[row, left]
        return kept

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:
        """Scores of its best 200, everything else -inf: the engine never scores a whole catalogue."""
        assert self.bundle is not None, "fit first"
        n = self.bundle.facts.n
        result = np.full((len(histories), n + 1), -np.inf, np.float32)
        ids, best = self.recommend(histories, min(_DEEPEST, n), now=now)
        np.put_along_axis(result, np.where(ids >= 0, ids, n), best, 1)
        return result[:, :n]

    def _learn_ranker(self, plan: Plan, items: Items, network: Any, progress: Progress | None) -> Ranker:
        """A head for each kind of question, from the candidates of every window."""
        windows, baskets = self._collected(plan, items, network, progress)
        ranker, self.fits = self.executor.run(
            "ranker",
            lambda: fit_ranker(
                FEATURES,
                windows or {"home": []},
                seed=self.settings.seed,
                threads=self.settings.threads or 0,
                alone=SCORES,
                prior=PRIOR,
                progress=progress,
            ),
        )
        if baskets:
            strangers = [kind for kind in ("visit", "product", "cart") if kind not in ranker.heads]
            ranker = Ranker(ranker.features, ranker.heads | dict.fromkeys(strangers, GOES_WITH))
        return ranker

    def _collected(
        self, plan: Plan, items: Items, network: Any, progress: Progress | None
    ) -> tuple[dict[str, list[Questions]], bool]:
        """The engine's candidates for every window's questions, by kind, the newest window last; and whether there are
        baskets."""
        windows: dict[str, list[Questions]] = {}
        if plan.newest is None:
            return windows, False
        liked = plan.newest.before.liked()
        complements = self.executor.run(  # first, since it needs much memory
            "complements",
            lambda: fit_complements(
                liked, items, content=self._goes_by(items), seed=self.settings.seed, progress=progress
            ),
        )
        self._complements_head = complements.head
        bundle: Bundle | None = None
        for window in plan.windows:
            counting = fit_counting(window.before.liked(), items, self._choices, self.executor, progress)
            if bundle is None:
                bundle = self._bundle(counting, items, network, window.before)
            else:
                until = int(window.before.time.max())
                learned = _artefacts(counting) | {"ratings": Ratings.fit(window.before, items.n)}
                bundle = _tasting(replace(bundle.with_artefacts(**learned), until=until), window.before)
            if window is plan.newest:
                bundle = bundle.with_artefacts(complements=complements)
            engine = Engine(bundle, Catalogue(bundle))
            kinds = questions_of(window, bundle, self.settings.memory, self.settings.seed, self.searches)
            for kind, make in kinds.items():
                if window is not plan.newest and kind not in OF_EVERY_WINDOW:
                    continue
                of_kind = make()
                asked = engine if of_kind.shown is None else engine_showing(bundle, of_kind.shown)
                questions = self.executor.run(
                    "candidates",
                    lambda of_kind=of_kind, asked=asked: collect(  # type: ignore[misc]
                        asked.candidates_many(of_kind.states, of_kind.requests), of_kind.wanted, progress=progress
                    ),
                )
                if window is not plan.newest and kind not in OF_FEW:  # only the newest judges, and needs them all
                    questions = questions.downsampled(WRONG, self.settings.seed)
                windows.setdefault(kind, []).append(questions)
        return windows, complements.evidence.baskets[0] > 0

    def _publish(
        self, train: Sequences, items: Items, network: Any, ranker: Ranker | None, progress: Progress | None
    ) -> None:
        alone = Local()
        liked = train.liked()
        models = fit_counting(liked, items, self._choices, alone, progress)
        if network is not None:
            if self.refit:
                folder = self._next_folder()
                network = alone.run(
                    "network",
                    lambda: refit_network(network, liked, items, self._bounded(), folder, progress),
                )
            models["network"] = network
        for name, seconds in alone.seconds.items():
            self.executor.seconds[name] = self.executor.seconds.get(name, 0.0) + seconds
        complements = alone.run(
            "complements",
            lambda: Complements(self._complements_head).fit_with(self._goes_by(items), liked, items),
        )
        self.seconds_alone = alone.seconds
        if network is not None:
            self.seconds_alone["network"] = self.executor.seconds["network"]  # choosing is part of what it takes
        self.models = models
        self.bundle = self._bundle(models, items, network, train, ranker).with_artefacts(complements=complements)
        self._engine = Engine(self.bundle, Catalogue(self.bundle))
        give_back()

    def _bundle(
        self,
        models: Mapping[str, Recommender],
        items: Items,
        network: Any,
        train: Sequences,
        ranker: Ranker | None = None,
    ) -> Bundle:
        """What follows from texts and photos alone is made once, and again only for other ones."""
        content = items.text, items.image
        made = self._content if self._content and all(map(is_, self._content[0], content)) else None
        bundle = Bundle.make(
            items=self.names or IdMap(map(str, range(items.n))),
            features=replace(items, text=None, image=None) if made else items,
            artefacts=_artefacts(models)
            | {
                "network": None if network is None else network.network,
                "ratings": Ratings.fit(train, items.n),
                "ranker": ranker,
            },
            until=int(train.time.max()) if train.rows else 0,
            settings=self.settings.model_dump(mode="json", exclude=set(_NOT_LEARNING)),
        )
        if made:
            vectors, artefacts = made[1]
            return _tasting(replace(bundle.with_artefacts(**artefacts), content_vectors=vectors), train)
        artefacts = {name: bundle.artefacts[name] for name in _OF_CONTENT if name in bundle}
        self._content = content, (bundle.content_vectors, artefacts)
        return _tasting(bundle, train)

    def _goes_by(self, items: Items) -> Floats:
        """What complements know of texts and photos, made once as long as these are the same."""
        if self._space is None or not all(map(is_, self._space[0], (items.text, items.image))):
            self._space = (items.text, items.image), content_of(items)
        return self._space[1]

    def _bounded(self) -> Settings:
        """A limit of minutes is for all fits of the network together."""
        fits = self.network_fits or (2 if self.refit else 1)
        return self.settings.model_copy(update={"minutes": self.settings.minutes / fits})

    def _next_folder(self) -> Path | None:
        """Of the next fit of the network: each has its own, in which it finds itself again."""
        self._begun += 1
        return None if self.work is None else self.work / f"network-{self._begun}"


def engine_showing(bundle: Bundle, shown: Mask) -> Engine:
    """An engine over a catalogue of which only these products (bool [n]) are in stock."""
    catalogue = Catalogue(bundle)
    catalogue.view = replace(catalogue.view, sale=np.where(shown, _IN, _OUT).astype(np.int8))
    return Engine(bundle, catalogue)


def _tasting(bundle: Bundle, train: Sequences) -> Bundle:
    """With the taste of these histories, where products have content."""
    content, index = bundle.content_vectors, bundle.content_index
    if content is None or index is None:
        return bundle
    return bundle.with_artefacts(taste=Taste.fit(train.liked(), content, index))


def _artefacts(models: Mapping[str, Recommender]) -> dict[str, Any]:
    """The counting sources by their names in a bundle."""
    return {artefact: models[name] for name, artefact in ARTEFACTS.items()}
