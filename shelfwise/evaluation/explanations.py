"""The benchmark `explanations`: is the reason that an answer gives what decided it?

What a reason names is taken away and the engine asked again: on the home page the events of the product named, on a
page or in a cart the product itself. A true reason's product falls. Beside it another event, drawn at random, is taken
away in its place. Deletion and insertion curves (Petsiuk et al. 2018, "RISE") take away, and give back, one product of
the history after the other, in the order in which reasons name them, beside a random order: how far down the answer the
product then stands, as the mean of 1 / rank.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shelfwise.engine.pipeline import Engine
from shelfwise.engine.request import MAX_K, Item, Request
from shelfwise.engine.state import State, states_of
from shelfwise.errors import NotEnoughData
from shelfwise.metrics import summarise
from shelfwise.models.recommender import Progress
from shelfwise.models.sequences import Ints, Sequences
from shelfwise.training.dataset import Dataset

K = 12  # products of an answer; its first with a reason that names something is looked at
STEPS = 5  # of a curve
_LEAST = 10


@dataclass(frozen=True, slots=True)
class _Case:
    """One answer's product: who asks, what, the product's row, and the row its reason names."""

    state: State
    request: Request
    shown: int
    named: int


def explanations(
    engine: Engine, histories: Sequences, *, asked: int = 300, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """{"rows": [{"name", "fell", "places", "random_fell", "random_places", "asked"}, …], "curves": […], "popular": …}.

    fell: share of the products that stand lower, or nowhere, once what is named is gone. places: by how many, of 200.
    popular: the share of a product page's reasons that say "popular". Raises NotEnoughData.
    """
    random = np.random.default_rng(seed)
    rows = []
    known = _home(engine, histories, random, asked)
    surfaces = {
        "home": known,
        "product": _pages(engine, random, asked),
        "cart": _carts(engine, histories, random, asked),
    }
    for done, (name, cases) in enumerate(surfaces.items()):
        if progress is not None:
            progress(done, len(surfaces), f"taking away what reasons name: {name}")
        if len(cases) >= _LEAST:
            rows.append({"name": name, **_fallen(engine, cases, random)})
    if not rows:
        raise NotEnoughData("no answer's reason names anything yet; load events and train first")
    return {
        "rows": rows,
        "curves": _curves(engine, known[: asked // 5], random),
        "popular": _popular(engine, random, asked),
    }


def histories_of(engine: Engine, dataset: Dataset, memory: int) -> Sequences:
    """Each customer's newest events of a record, in the rows of the engine's catalogue."""
    known = engine.catalogue.view.rows
    rows = np.array([known.get(name, -1) for name in dataset.items.outside], np.int32)[dataset.sequences.item]
    return replace(dataset.sequences, item=rows).take(rows >= 0).last(memory)


def _home(engine: Engine, histories: Sequences, random: np.random.Generator, asked: int) -> list[_Case]:
    some = random.permutation(np.flatnonzero(histories.lengths() > 1))[:asked]
    states = states_of(histories.select(np.sort(some)), engine.bundle.until)
    request = Request(session="explanations", k=K)
    return [case for state in states if (case := _case(engine, state, request))]


def _carts(engine: Engine, histories: Sequences, random: np.random.Generator, asked: int) -> list[_Case]:
    """Three of the newest products of somebody, in the cart of a stranger."""
    ids = engine.catalogue.view.ids
    cases = []
    for customer in random.permutation(np.flatnonzero(histories.lengths() > 3))[:asked].tolist():
        seeds = dict.fromkeys(histories.items_of(customer)[-20:].tolist())
        if len(seeds) >= 3:
            request = Request(
                session="explanations", surface="cart", seeds=tuple(ids[row] for row in list(seeds)[-3:]), k=K
            )
            cases.append(_case(engine, State.nothing(engine.bundle.until), request))
    return [case for case in cases if case]


def _pages(engine: Engine, random: np.random.Generator, asked: int) -> list[_Case]:
    cases = [_case(engine, State.nothing(engine.bundle.until), request) for request in _requests(engine, random, asked)]
    return [case for case in cases if case]


def _requests(engine: Engine, random: np.random.Generator, asked: int) -> list[Request]:
    view = engine.catalogue.view
    products = [
        view.ids[row] for row in random.permutation(view.n)[:asked].tolist() if view.row(view.ids[row]) is not None
    ]
    return [Request(session="explanations", surface="product", seeds=(product,), k=K) for product in products]


def _case(engine: Engine, state: State, request: Request) -> _Case | None:
    view = engine.catalogue.view
    for item in engine.recommend(request, state).items:
        if item.because.product and not item.because.query:
            shown, named = view.require(item.product), view.require(item.because.product)
            return _Case(state, request, shown, named)
    return None


def _fallen(engine: Engine, cases: Sequence[_Case], random: np.random.Generator) -> dict[str, Any]:
    """How far the products fall without what is named, and without something else."""
    falls: list[float] = []
    others: list[float] = []
    for case in cases:
        before = _rank(engine, case.state, case.request, case.shown)
        falls.append(_rank(engine, *_without(engine, case, case.named), case.shown) - before)
        rest = [row for row in _history(engine, case) if row not in (case.named, case.shown)]
        if rest:
            others.append(_rank(engine, *_without(engine, case, int(random.choice(rest))), case.shown) - before)
    fell, other = np.array(falls) > 0, np.array(others) > 0
    result = {"fell": float(fell.mean()), "places": float(np.mean(falls)), "asked": len(cases)}
    if others:
        result |= {"random_fell": float(other.mean()), "random_places": float(np.mean(others))}
    estimate = summarise({"fell": fell.astype(np.float64)})["fell"]
    return result | {"low": round(estimate.low, 4), "high": round(estimate.high, 4)}


def _history(engine: Engine, case: _Case) -> list[int]:
    """The products that the answer may rest on, the newest last."""
    if case.request.seeds:
        return [engine.catalogue.view.require(product) for product in case.request.seeds]
    return list(dict.fromkeys(case.state.events.item.tolist()))


def _without(engine: Engine, case: _Case, row: int) -> tuple[State, Request]:
    """The question without this product."""
    if not case.request.seeds:
        events = case.state.events
        return replace(case.state, events=events.take(events.item != row)), case.request
    seeds = tuple(product for product in case.request.seeds if engine.catalogue.view.require(product) != row)
    surface = case.request.surface if seeds else "home"
    return case.state, replace(case.request, seeds=seeds, surface=surface)


def _rank(engine: Engine, state: State, request: Request, row: int) -> int:
    """Place from 1 in the first 200, 201 for nowhere."""
    ids = engine.recommend_many([state], replace(request, k=MAX_K))[0][0]
    place = np.flatnonzero(ids == row)
    return int(place[0]) + 1 if len(place) else MAX_K + 1


def _curves(engine: Engine, cases: Sequence[_Case], random: np.random.Generator) -> list[dict[str, Any]]:
    """Mean of 1 / rank after each step, by reasons and at random."""
    sums = {name: np.zeros(STEPS + 1) for name in ("deletion", "deletion, random", "insertion", "insertion, random")}
    used = 0
    for case in cases:
        everything = np.array(_history(engine, case), np.int32)
        if len(everything) <= STEPS:
            continue
        used += 1
        ordered = _by_reasons(engine, case)
        rest = random.permutation(everything)
        by_reason = np.array([*ordered, *(row for row in rest.tolist() if row not in ordered)], np.int32)
        for name, order in (("", by_reason), (", random", random.permutation(everything))):
            for step in range(STEPS + 1):
                sums[f"deletion{name}"][step] += _worth(engine, case, order[step:])
                sums[f"insertion{name}"][step] += _worth(engine, case, order[:step])
    return [
        {"name": name, "1/rank": [round(x, 4) for x in (values / max(used, 1)).tolist()]}
        for name, values in sums.items()
    ]


def _worth(engine: Engine, case: _Case, kept: Ints) -> float:
    events = case.state.events
    state = replace(case.state, events=events.take(np.isin(events.item, kept)))
    return 1 / _rank(engine, state, case.request, case.shown)


def _by_reasons(engine: Engine, case: _Case) -> list[int]:
    """What the product's reasons name, one after the other, each once the one before is gone."""
    view = engine.catalogue.view
    named: list[int] = []
    while len(named) < STEPS:
        events = case.state.events
        state = replace(case.state, events=events.take(~np.isin(events.item, named)))
        found = _reason(engine, state, replace(case.request, k=MAX_K), view.ids[case.shown])
        row = -1 if found is None or not found.because.product else view.require(found.because.product)
        if row < 0 or row in named:
            break
        named.append(row)
    return named


def _reason(engine: Engine, state: State, request: Request, product: str) -> Item | None:
    return next((item for item in engine.recommend(request, state).items if item.product == product), None)


def _popular(engine: Engine, random: np.random.Generator, asked: int) -> float:
    """The share of a page's reasons that name its source as popular."""
    first: Counter[bool] = Counter()
    for request in _requests(engine, random, asked):
        answer = engine.recommend(request, State.nothing(engine.bundle.until))
        first.update(item.sources[:1] == ("popular",) and not item.because.product for item in answer.items)
    return round(first[True] / max(first.total(), 1), 4)
