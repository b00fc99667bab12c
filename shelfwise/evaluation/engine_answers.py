"""The whole engine, as served, as one that answers a `QuestionSet`; what it learned is kept, so that it learns once."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from shelfwise import metrics
from shelfwise.catalogue.filters import Filters
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.rank import FEATURES
from shelfwise.engine.request import MAX_SEEDS, Request
from shelfwise.engine.state import State, events_read, states_of
from shelfwise.errors import BundleError
from shelfwise.evaluation.protocols import K, QuestionSet
from shelfwise.models.bundle import FORMAT_VERSION, Bundle
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.sequences import Floats, IdMap, Ints, Sequences
from shelfwise.settings import Settings
from shelfwise.training.learn import EngineModel, engine_showing

_SURFACES = {
    "home, first visit": "home",
    "complements": "product",
    "complements, any category": "product",
    "cold page": "product",
    "substitutes": "similar",
    "cart": "cart",
    "category page": "category",
}
#: What an engine may be learned without, to see what it is worth.
WITHOUT = ("network", "texts", "photos")
DIALS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # of diversity, that its curve is measured at
_DEPTH = 60  # products asked for, so that 12 are left where some may not be shown


def learned(
    past: Sequences,
    items: Items,
    names: IdMap,
    settings: Settings,
    folder: Path | None,
    progress: Progress | None = None,
    *,
    without: str = "",
) -> Bundle:
    """The bundle learned from `past`; read from `folder` where the same was learned before by the same version.

    without: of `WITHOUT`, what is left out and everything learned without. Raises NotEnoughData."""
    if without == "texts":
        items = replace(items, text=None)
    elif without == "photos":
        items = replace(items, image=None)
    network = without != "network"
    place = None if folder is None else folder / (_key(past, items, settings) + ("" if network else "-no-network"))
    if place is not None and place.exists():
        try:
            return Bundle.load(place)
        except BundleError:
            place = None  # of another version: learned again, the old one left alone
    model = EngineModel(settings=settings, names=names, with_network=network)
    model.fit(past, items, progress=progress)
    assert model.bundle is not None
    if place is not None:
        model.bundle.save(place)
    return model.bundle


def _key(past: Sequences, items: Items, settings: Settings) -> str:
    """Names what decides a bundle: the events, what is known of the products, the settings and the format."""
    facts = hashlib.sha256()
    for array in (past.offsets, past.item, past.kind, past.time, items.category, items.price, items.text, items.image):
        if array is not None:
            facts.update(np.ascontiguousarray(array).tobytes())
    facts.update(json.dumps(FEATURES).encode())
    facts.update(json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode())
    return f"{FORMAT_VERSION}-{facts.hexdigest()[:16]}"


class EngineAnswers:
    """Answers as the shop would: the same stages, products that may not be shown being out of stock. Several variants
    of one product may be in an answer: the questions want products, and no baseline leaves variants out."""

    def __init__(self, bundle: Bundle, settings: Settings) -> None:
        self.bundle = bundle
        self.settings = settings

    def __call__(self, questions: QuestionSet) -> Ints:
        """ids int32 [n, 12], -1 for none."""
        return questions.cut(self._lists(engine_showing(self.bundle, ~questions.hidden), questions))

    def pages(self, products: Ints, k: int) -> tuple[Ints, float]:
        """What the pages of these products show a stranger, ids int32 [n, k], -1 for none, and the share of places
        held by one more product of a group (`item_group_id`) shown already."""
        engine = Engine(self.bundle, Catalogue(self.bundle))
        names = [self.bundle.items.outside[product] for product in products]
        requests = [Request(surface="product", seeds=(name,), session="evaluation", k=k) for name in names]
        rows = engine.recommend_many([State.nothing(self.bundle.until)] * len(names), requests)[0]
        group = engine.catalogue.view.variant[rows]
        ordered = np.sort(np.where((rows >= 0) & (group >= 0), group, -1), axis=1)
        again = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
        return rows, float(again.sum() / max((rows >= 0).sum(), 1))

    def dial(self, questions: QuestionSet, content: Floats) -> list[dict[str, float]]:
        """What diversity costs: of known customers' home pages, at each of `DIALS`, NDCG@12 and the mean distance of
        two products of an answer (1 - cosine of content, float32 [n, d], unit rows)."""
        engine = Engine(self.bundle, Catalogue(self.bundle))
        states = states_of(questions.histories.last(events_read(self.settings.memory, False)), questions.now)
        curve = []
        for dial in DIALS:
            request = Request(session="evaluation", k=K, diversity=dial, variants=0)
            ids = engine.recommend_many(states, request)[0]
            ndcg = metrics.ranking(ids, questions.wanted, (K,))[f"ndcg@{K}"]
            distance = metrics.diversity(ids, vectors=content)
            curve.append({"diversity": dial, "ndcg@12": _mean(ndcg), "distance": _mean(distance)})
        return curve

    def _lists(self, engine: Engine, questions: QuestionSet) -> Iterator[Ints]:
        known = questions.histories.last(events_read(self.settings.memory, not questions.seen))
        states = states_of(known, questions.now)
        if all(not len(seeds) for seeds in questions.seeds) and questions.groups is None:
            # One request for all: what the batch lists of a shop ask.
            request = Request(session="evaluation", k=_DEPTH, exclude_purchased=not questions.seen, variants=0)
            yield from engine.recommend_many(states, request)[0]
            return
        for i, state in enumerate(states):
            yield engine.recommend_many([state], self._request(questions, i))[0][0]

    def _request(self, questions: QuestionSet, i: int) -> Request:
        surface = _SURFACES.get(questions.name.split(":")[0], "home")
        categories: tuple[str, ...] = ()
        if questions.groups is not None and questions.only is not None:
            categories = (questions.group_names[questions.only[i]],)
        elif questions.barred is not None and surface == "home":
            barred = {questions.group_names[code] for code in questions.barred[i] if code >= 0}
            categories = tuple(name for name in questions.group_names if name not in barred)
        outside = self.bundle.items.outside
        return Request(
            session="evaluation",
            surface=surface,
            seeds=tuple(outside[item] for item in questions.seeds[i][-MAX_SEEDS:]),
            k=_DEPTH,
            filters=Filters(categories=categories),
            exclude_purchased=not questions.seen,
            variants=0,
        )


def _mean(values: metrics.Doubles) -> float:
    return round(float(np.nanmean(values)), 5)
