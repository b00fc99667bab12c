from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shelfwise.catalogue.filters import Filters
from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine
from shelfwise.engine.rank import COLUMN, FEATURES, best, rank
from shelfwise.engine.request import Request
from shelfwise.engine.retrieve.sources import SOURCES
from shelfwise.engine.state import State, states_of
from shelfwise.errors import BundleError, InvalidRequest, SettingsError, UnknownProduct
from shelfwise.models.bundle import Bundle
from shelfwise.models.ranker import Linear, Ranker
from shelfwise.models.recommender import top_k
from shelfwise.schema import Availability, EventType, Product, Rule, RuleAction, from_micros, now

from .conftest import N, Simulated

HOME = Request(customer="someone")
NAMES = {source.name for source in SOURCES}


@dataclass
class Rows:
    """Columns of someone's events, as the store's `last_rows` gives them."""

    products: list[str] = field(default_factory=list)
    kinds: np.ndarray = field(default_factory=lambda: np.empty(0, np.int8))
    times: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    prices: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))


def rows(*events: tuple[EventType, str], start: int = 1_720_000_000) -> Rows:
    n = len(events)
    return Rows(
        [product for _, product in events],
        np.array([kind.code for kind, _ in events], np.int8),
        start + np.arange(n),
        np.full(n, np.nan, np.float32),
    )


@pytest.fixture(scope="module")
def engine(simulated: Simulated) -> Engine:
    return Engine(simulated.bundle, Catalogue(simulated.bundle, simulated.frame()))


def products(answer: object) -> list[str]:
    return [item.product for item in answer.items]  # type: ignore[attr-defined]


def test_an_answer_is_ordered_distinct_explained_and_says_its_sources(simulated: Simulated, engine: Engine) -> None:
    for state in states_of(simulated.shop.sequences.select(slice(0, 30)), simulated.bundle.until):
        answer = engine.recommend(HOME, state)
        assert len(answer.items) == 12
        assert len(set(products(answer))) == 12
        assert all(a.score >= b.score for a, b in pairwise(answer.items))
        assert all(item.reason and item.sources and set(item.sources) <= NAMES for item in answer.items)
    assert len({engine.recommend(HOME, state).request_id for _ in range(3)}) == 3


def assert_most_popular_of_each_department(simulated: Simulated, engine: Engine, names: list[str]) -> None:
    view = engine.catalogue.view
    shown = [view.rows[name] for name in names]
    tops = view.top[view.category]
    for top in set(tops[shown].tolist()):
        order = [row for row in simulated.bundle.popularity.order.tolist() if tops[row] == top]
        mine = [row for row in shown if tops[row] == top]
        assert mine == order[: len(mine)]


def test_without_history_what_is_popular(simulated: Simulated, engine: Engine) -> None:
    answer = engine.recommend(HOME, State.nothing(simulated.bundle.until))
    assert_most_popular_of_each_department(simulated, engine, products(answer))
    assert all(item.sources[0] == "popular" and item.reason.startswith("Popular in Aisle") for item in answer.items)


def test_one_view_of_an_anonymous_session_changes_the_very_next_answer(simulated: Simulated, engine: Engine) -> None:
    request = Request(session="s1")
    before = engine.recommend(request, engine.state(request, Rows()))
    seen = int(np.argmax(np.diff(simulated.bundle.cooccurrence.indptr)))
    after = engine.recommend(request, engine.state(request, rows((EventType.VIEW_ITEM, f"p{seen}"))))
    group = simulated.shop.groups
    assert sum(group[int(name[1:])] == group[seen] for name in products(after)) >= 8
    assert products(before) != products(after)
    told = [item for item in after.items if item.reason == f"Because you viewed Thing {seen}"]
    assert told
    assert {item.because.product for item in told} == {f"p{seen}"}


def test_what_is_taken_from_the_cart_counts_no_more(simulated: Simulated, engine: Engine) -> None:
    request = Request(customer="c")
    add, remove = (EventType.ADD_TO_CART, "p5"), (EventType.REMOVE_FROM_CART, "p5")
    added = engine.state(request, rows(add, start=int(now().timestamp())))
    removed = engine.state(request, rows(add, remove, start=int(now().timestamp())))
    assert added.events.rows == 1
    assert added.cart.tolist() == [5]
    assert removed.events.rows == 0
    assert removed.cart.tolist() == []
    assert "p5" not in products(engine.recommend(request, added)), "what lies in the cart needs no recommending"
    (past,) = states_of(added.events, added.now)
    assert past.cart.tolist() == [5], "the ranker learns from carts as they are served"
    left = engine.state(request, rows(add))
    assert left.cart.tolist() == [], "a cart of long ago was left behind"


def test_unknown_products_and_searches_are_no_events_of_a_product(engine: Engine) -> None:
    told = rows((EventType.SEARCH, ""), (EventType.VIEW_ITEM, "never heard of"), (EventType.VIEW_ITEM, "p3"))
    assert engine.state(HOME, told).events.item.tolist() == [3]


def test_bought_products_are_left_out_on_request(simulated: Simulated, engine: Engine) -> None:
    for state in states_of(simulated.shop.sequences.select(slice(0, 40)), simulated.bundle.until):
        bought = {f"p{row}" for row in state.events.item}
        new = engine.recommend(replace(HOME, exclude_purchased=True), state)
        assert len(new.items) == 12
        assert not bought & set(products(new))
    assert bought & set(products(engine.recommend(HOME, state))), "and are shown otherwise"


def test_many_are_answered_as_one_is(simulated: Simulated, engine: Engine) -> None:
    states = states_of(simulated.shop.sequences.select(slice(0, 50)), simulated.bundle.until)
    for request in (HOME, replace(HOME, exclude_purchased=True)):
        many, scores = engine.recommend_many(states, request)
        for state, found, score in zip(states, many, scores, strict=True):
            one = engine.recommend(request, state)
            assert products(one) == [f"p{row}" for row in found]
            np.testing.assert_allclose([item.score for item in one.items], score, rtol=1e-3)


def test_live_state_is_the_state_of_evaluation(simulated: Simulated, engine: Engine) -> None:
    """The columns of the record and the cut of the dataset give the same answer."""
    until = simulated.bundle.until
    history = simulated.shop.sequences.select(slice(7, 8))
    told = Rows([f"p{row}" for row in history.item], history.kind, history.time, history.price)
    request = Request(customer="c", now=datetime.fromtimestamp(until, UTC))
    live = engine.recommend(request, engine.state(request, told))
    offline = engine.recommend(request, states_of(history, until)[0])
    assert live.items == offline.items


def test_features_are_the_models_own_numbers(simulated: Simulated, engine: Engine) -> None:
    history = simulated.shop.sequences.select(slice(3, 4))
    (state,) = states_of(history, simulated.bundle.until)
    ((ids, features),) = engine.candidates_many([state], HOME)
    bundle, times = simulated.bundle, np.array([simulated.bundle.until])
    assert features.shape == (len(ids), len(FEATURES))
    assert len(set(ids.tolist())) == len(ids)
    knn = bundle.cooccurrence.scores(history)[0]
    tie = 1e-3 * knn.max()
    np.testing.assert_allclose(features[:, COLUMN["item_knn"]], knn[ids], atol=tie)
    assert bundle.ease is not None
    ease = np.maximum(bundle.ease.scores(history, now=times)[0], 0)
    got = np.maximum(features[:, COLUMN["ease"]], 0)
    np.testing.assert_allclose(got, ease[ids], atol=1e-5)
    again = np.maximum(bundle.repurchase.scores(history, now=times)[0], 0)
    np.testing.assert_allclose(features[:, COLUMN["repurchase"]], again[ids], rtol=1e-5)
    assert set(history.item.tolist()) <= set(ids.tolist()), "all that was bought is a candidate"
    assert bundle.network is not None
    vector = bundle.network.encode(history, times)[0]
    np.testing.assert_allclose(
        features[:, COLUMN["collaborative"]], bundle.network.item_vectors()[ids] @ vector, rtol=1e-3, atol=1e-4
    )
    content = engine.catalogue.view.content
    assert content is not None
    newest = list(dict.fromkeys(history.item[::-1].tolist()))[:20]
    cosine = np.sort(content[ids] @ content[newest].T, axis=1)[:, -5:].mean(axis=1)
    np.testing.assert_allclose(features[:, COLUMN["content_history"]], cosine, atol=1e-5)
    assert bundle.taste is not None
    taste = bundle.taste.of(history.item, history.time, bundle.until, content)
    np.testing.assert_allclose(features[:, COLUMN["content_taste"]], content[ids] @ taste, rtol=1e-3, atol=1e-5)
    popular = np.log1p(bundle.popularity.weight[ids])
    np.testing.assert_allclose(features[:, COLUMN["popular"]], popular, rtol=1e-5)
    category = bundle.facts.category
    assert category is not None
    sold = np.log1p([bundle.popularity.weight[category == category[row]].sum() for row in ids])
    np.testing.assert_allclose(features[:, COLUMN["popular_category"]], sold, rtol=1e-4)


def test_the_ranker_decides_and_must_read_these_features(simulated: Simulated) -> None:
    weights = np.zeros(len(FEATURES), np.float32)
    weights[COLUMN["popular"]] = 1
    ranker = Ranker(FEATURES, {"home": Linear(weights), "new": Linear(-weights)})
    engine = Engine(simulated.bundle.with_artefacts(ranker=ranker), Catalogue(simulated.bundle))
    (state,) = states_of(simulated.shop.sequences.select(slice(0, 1)), simulated.bundle.until)
    answer = engine.recommend(HOME, state)
    assert products(answer) == [f"p{row}" for row in simulated.bundle.popularity.order[:12]]
    assert all("Popular" in item.reason for item in answer.items), "the reason is what ranked it"
    foreign = Ranker(("a", "b"), {"home": Linear(weights[:2]), "new": Linear(weights[:2])})
    with pytest.raises(BundleError, match="train again"):
        Engine(simulated.bundle.with_artefacts(ranker=foreign), Catalogue(simulated.bundle))


def test_a_ranker_of_an_earlier_version_reads_the_features_it_knows(simulated: Simulated) -> None:
    weights = np.zeros(len(FEATURES), np.float32)
    weights[COLUMN["popular"]] = 1
    known = tuple(reversed([name for name in FEATURES if name != "content_history"]))
    earlier = Linear(weights[[COLUMN[name] for name in known]])
    (state,) = states_of(simulated.shop.sequences.select(slice(0, 1)), simulated.bundle.until)
    answers = [
        Engine(simulated.bundle.with_artefacts(ranker=ranker), Catalogue(simulated.bundle)).recommend(HOME, state)
        for ranker in (Ranker(FEATURES, {"home": Linear(weights)}), Ranker(known, {"home": earlier}))
    ]
    assert answers[0].items == answers[1].items


def test_who_is_unknown_gets_what_is_popular_whatever_the_ranker_learned(simulated: Simulated) -> None:
    weights = np.zeros(len(FEATURES), np.float32)
    weights[COLUMN["popular"]] = -1
    ranker = Ranker(FEATURES, {"home": Linear(weights), "new": Linear(weights)})
    engine = Engine(simulated.bundle.with_artefacts(ranker=ranker), Catalogue(simulated.bundle))
    for request in (HOME, replace(HOME, exclude_purchased=True)):
        answer = engine.recommend(request, State.nothing(simulated.bundle.until))
        assert_most_popular_of_each_department(simulated, engine, products(answer))
        assert all(item.reason.startswith("Popular") for item in answer.items)


def test_seeds_lead_and_are_not_shown(simulated: Simulated, engine: Engine) -> None:
    nobody = State.nothing(simulated.bundle.until)
    answer = engine.recommend(Request(surface="product", seeds=("p10",)), nobody)
    assert "p10" not in products(answer)
    assert any(item.reason == "Goes with Thing 10" for item in answer.items)
    cart = engine.recommend(Request(surface="cart", seeds=("p10", "p200")), nobody)
    assert not {"p10", "p200"} & set(products(cart))
    assert engine.recommend(Request(surface="cart", seeds=("p10", "nothing")), nobody).unknown == ("nothing",)
    answer = engine.recommend(Request(surface="cart", seeds=("nothing",)), nobody)
    assert len(products(answer)) == 12
    assert answer.unknown == ("nothing",)


def test_filters_hold_and_still_fill_the_answer(simulated: Simulated, engine: Engine) -> None:
    view = engine.catalogue.view
    states = [State.nothing(0), *states_of(simulated.shop.sequences.select(slice(0, 10)), simulated.bundle.until)]
    for filters in (
        Filters(categories=("Aisle 1",)),
        Filters(categories=("aisle 1 > shelf 3",)),
        Filters(brands=(view.brands.names[0].upper(), view.brands.names[1])),
        Filters(price_min=5, price_max=9),
        Filters(exclude=tuple(f"p{row}" for row in simulated.bundle.popularity.order[:500])),
    ):
        matching = view.matching(filters)
        assert 0 < len(matching) < N
        for state in states:
            for k in (5, 200):
                answer = engine.recommend(Request(k=k, filters=filters), state)
                assert len(answer.items) == min(k, len(matching))
                assert {view.rows[name] for name in products(answer)} <= set(matching.tolist())


def test_only_what_is_in_stock(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    engine = Engine(simulated.bundle, catalogue)
    nobody = State.nothing(simulated.bundle.until)
    best, second = products(engine.recommend(HOME, nobody))[:2]
    catalogue.upsert([Product(id=best, title="Sold out", availability=Availability.OUT_OF_STOCK)])
    assert catalogue.delete(second)
    assert not catalogue.delete(second)
    assert second not in catalogue
    assert len(catalogue) == N - 1
    assert not {best, second} & set(products(engine.recommend(HOME, nobody)))
    everything = Request(filters=Filters(availability=None))
    assert best in products(engine.recommend(everything, nobody))
    assert second not in products(engine.recommend(everything, nobody))


def test_similar_products_are_of_the_group(simulated: Simulated, engine: Engine) -> None:
    groups = simulated.shop.groups
    for row in (0, 100, 333):
        answer = engine.similar(f"p{row}", 8)
        assert len(answer.items) == 8
        assert f"p{row}" not in products(answer)
        size = int((groups == groups[row]).sum()) - 1
        assert sum(groups[int(name[1:])] == groups[row] for name in products(answer)) >= min(6, size)
        assert {item.reason for item in answer.items} <= {f"Similar to Thing {row}", f"Goes with Thing {row}"}
    inside = engine.similar("p0", 200, Filters(categories=("Aisle 2",)))
    matching = engine.catalogue.view.matching(Filters(categories=("Aisle 2",)))
    assert len(inside.items) == min(200, len(matching) - (0 in matching))
    with pytest.raises(UnknownProduct):
        engine.similar("nothing")


def test_reasons_in_chinese(simulated: Simulated) -> None:
    engine = Engine(simulated.bundle, Catalogue(simulated.bundle, simulated.frame()), language="zh")
    reasons = [item.reason for item in engine.recommend(HOME, State.nothing(simulated.bundle.until)).items]
    assert all("热销" in reason for reason in reasons)
    with pytest.raises(SettingsError, match="en, zh"):
        Engine(simulated.bundle, Catalogue(simulated.bundle), language="tlh")


def test_long_after_learning_the_clock_stands(simulated: Simulated, engine: Engine) -> None:
    """Features of a data set of years ago are those of its own days."""
    history = simulated.shop.sequences.select(slice(3, 4))
    then, years_later = (states_of(history, simulated.bundle.until + age)[0] for age in (0, 9 * 365 * 86_400))
    assert engine.recommend(HOME, then).items == engine.recommend(HOME, years_later).items


def test_without_network_content_and_ease(simulated: Simulated) -> None:
    nothing = dict.fromkeys(("network", "vector_index", "content", "content_index", "alike", "ease"))
    bare = replace(simulated.bundle.with_artefacts(**nothing), item_vectors=None, content_vectors=None)
    engine = Engine(bare, Catalogue(bare))
    for state in states_of(simulated.shop.sequences.select(slice(0, 5)), bare.until):
        answer = engine.recommend(HOME, state)
        assert len(answer.items) == 12
        assert all(item.reason for item in answer.items)
    assert len(engine.similar("p7", 3).items) == 3


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"k": 0}, "k"),
        ({"k": 201}, "k"),
        ({"k": True}, "k"),
        ({"surface": "moon"}, "surface"),
        ({"surface": "product"}, "seeds"),
        ({"surface": "category"}, "filters"),
        ({"customer": "x" * 500}, "customer"),
        ({"session": "a\x00b"}, "session"),
        ({"seeds": "p1"}, "seeds"),
        ({"seeds": ("p",) * 101}, "seeds"),
        ({"now": datetime(2024, 1, 1)}, "now"),
    ],
)
def test_requests_are_checked(arguments: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        Request(**arguments)  # type: ignore[arg-type]
    assert error.value.field == where


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        ({"price_min": float("nan")}, "price_min"),
        ({"price_max": -1}, "price_max"),
        ({"price_min": 3, "price_max": 2}, "price_min"),
        ({"categories": "Tea"}, "categories"),
        ({"categories": ("",)}, "categories"),
        ({"brands": (1,)}, "brands"),
        ({"availability": ("maybe",)}, "availability"),
        ({"exclude": ("p",) * 1_001}, "exclude"),
    ],
)
def test_filters_are_checked(arguments: dict[str, object], where: str) -> None:
    with pytest.raises(InvalidRequest) as error:
        Filters(**arguments)  # type: ignore[arg-type]
    assert error.value.field == where


@given(st.lists(st.integers(-3, 3), max_size=30), st.integers(1, 40))
def test_best_is_a_stable_top_k(scores: list[int], k: int) -> None:
    values = np.array(scores, np.float32)
    ids = np.arange(len(scores), dtype=np.int32)
    expected = top_k(values[None], k)[0][0] if scores else []
    found = best(values, ids, k)
    assert values[found].tolist() == sorted(scores, reverse=True)[:k]
    if k >= len(scores):
        assert found.tolist() == list(expected)


def test_an_answer_as_json(engine: Engine) -> None:
    answer = engine.recommend(Request(k=1), State.nothing(0))
    assert answer.to_json()["items"][0].keys() == {"product", "score", "sources", "reason"}
    assert from_micros(0).year == 1970
    assert isinstance(engine.bundle, Bundle)


def test_rules_hold_on_their_category_page_and_nowhere_else(simulated: Simulated, engine: Engine) -> None:
    category, other = "Aisle 0 > Shelf 1", "Aisle 2"
    nobody = State.nothing(simulated.bundle.until)
    within = Request(surface="category", filters=Filters(categories=(category,)), k=8)
    plain = engine.recommend(within, nobody)
    ids = [item.product for item in plain.items]
    outside = engine.recommend(replace(within, filters=Filters(categories=(other,))), nobody).items
    view = engine.catalogue.view
    shelf = view.matching(Filters(categories=(category,)))
    last = view.ids[int(shelf[~np.isin(shelf, [view.rows[name] for name in ids])][-1])]
    try:
        engine.steer(
            [
                Rule(action=RuleAction.HIDE, products=(ids[0],), category="Aisle 0", id="hide"),
                Rule(action=RuleAction.PIN, products=(last, outside[0].product), category=category, id="pin"),
                Rule(action=RuleAction.PIN, products=(ids[3],), query="things", category=category, id="of a query"),
            ]
        )
        ruled = engine.recommend(within, nobody)
        assert len(ruled.items) == 8
        assert [item.product for item in ruled.items][:3] == [last, ids[1], ids[2]]
        assert (ruled.items[0].reason, ruled.items[0].sources[-1]) == ("Chosen by the shop", "rules")
        assert ids[0] not in [item.product for item in ruled.items]
        assert all(item.reason and "rules" not in item.sources for item in ruled.items[1:])
        scores = [item.score for item in ruled.items]
        assert scores == sorted(scores, reverse=True)
        assert ids[0] in [item.product for item in engine.recommend(Request(k=200), nobody).items]
        bought = engine.state(HOME, rows((EventType.PURCHASE, last)))
        again = engine.recommend(replace(within, exclude_purchased=True), bought)
        assert last not in [item.product for item in again.items]
    finally:
        engine.steer([])


def test_an_answer_holds_one_variant_of_a_group(simulated: Simulated) -> None:
    catalogue = Catalogue(simulated.bundle, simulated.frame())
    engine = Engine(simulated.bundle, catalogue)
    nobody = State.nothing(simulated.bundle.until)
    first, second, *_ = products(engine.recommend(HOME, nobody))
    for name in (first, second):
        catalogue.upsert([Product(id=name, title=name, product_type="Aisle 0", item_group_id="shirt")])
    assert len({first, second} & set(products(engine.recommend(HOME, nobody)))) == 1
    assert {first, second} <= set(products(engine.recommend(replace(HOME, variants=0, k=40), nobody)))
    with pytest.raises(InvalidRequest, match="variants"):
        Request(variants=-1)


def test_diversity_parts_what_is_alike(simulated: Simulated, engine: Engine) -> None:
    view = engine.catalogue.view
    assert view.content is not None

    def spread(answer: object) -> float:
        rows = [view.rows[name] for name in products(answer)]
        content = view.content[rows]  # type: ignore[index]
        return 1 - float((content @ content.T)[np.triu_indices(len(rows), 1)].mean())

    states = states_of(simulated.shop.sequences.select(slice(0, 20)), simulated.bundle.until)
    means = [
        np.mean([spread(engine.recommend(replace(HOME, diversity=d), state)) for state in states])
        for d in (0.0, 0.3, 0.7)
    ]
    assert means[0] < means[1] < means[2]
    answer = engine.recommend(replace(HOME, diversity=0.7), states[0])
    assert all(a.score >= b.score for a, b in pairwise(answer.items))


def test_stock_presses_on_the_order(simulated: Simulated, engine: Engine) -> None:
    state = states_of(simulated.shop.sequences.select(slice(0, 1)), simulated.bundle.until)[0]
    plain = products(engine.recommend(HOME, state))
    engine.weigh_stock({plain[8]: 1.0}, 0.0)
    assert products(engine.recommend(HOME, state)) == plain
    engine.weigh_stock({plain[8]: 1.0, "no product": 1.0}, 1.0)
    answer = engine.recommend(HOME, state)
    engine.weigh_stock({}, 0.0)
    assert products(answer).index(plain[8]) < 8
    assert all(a.score >= b.score for a, b in pairwise(answer.items))
    assert products(engine.recommend(HOME, state)) == plain


def test_who_is_unknown_sees_several_departments(simulated: Simulated, engine: Engine) -> None:
    view = engine.catalogue.view
    answer = engine.recommend(HOME, State.nothing(simulated.bundle.until))
    tops = [view.top_category(view.rows[name]) for name in products(answer)]
    assert max(map(tops[:9].count, tops)) <= 3


def test_similar_is_of_a_kind_and_of_a_kind_what_is_bought() -> None:
    features = np.zeros((3, len(FEATURES)), np.float32)
    features[:, COLUMN["content_newest"]] = 0.9, 0.9, 0.1
    features[:, COLUMN["item_knn_share"]] = 0, 0, 1  # a staple that goes with it
    features[:, COLUMN["popular"]] = np.log1p([3, 40, 2_000])
    assert np.argsort(-rank(None, "similar", features)).tolist() == [1, 0, 2]
