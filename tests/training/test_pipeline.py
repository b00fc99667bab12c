from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from shelfwise.engine.catalogue import Catalogue
from shelfwise.engine.pipeline import Engine, question_of
from shelfwise.engine.request import Request
from shelfwise.engine.state import State, states_of
from shelfwise.evaluation.results import Evaluation
from shelfwise.evaluation.trained import learn_bundle, publish
from shelfwise.metrics import Relevant
from shelfwise.models.bundles import Bundles
from shelfwise.models.ratings import Ratings
from shelfwise.models.recommender import Items, Recommender
from shelfwise.models.sequences import DAY, Sequences, sequences_of
from shelfwise.schema import DISLIKE, Event, EventType, Product, from_micros
from shelfwise.settings import Settings
from shelfwise.store import open_store
from shelfwise.training.learn import EngineModel
from shelfwise.training.questions import questions_of
from shelfwise.training.windows import Window, followed, lookers, unseen, windows_of

START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
TASTES, PER_TASTE, DAYS = 4, 10, 100
SMALL = Settings(
    width=16,
    epochs=1,
    threads=1,
    validation_days=14,
    text_encoder="none",
    image_encoder="none",
    report_questions=0,
)


def shop(customers: int = 120, seed: int = 0) -> Sequences:
    """Shoppers of four tastes: each comes about weekly, buys two favourites of its own again and again, and something
    else of its taste."""
    random = np.random.default_rng(seed)
    items, times = [], []
    for customer in range(customers):
        first = customer % TASTES * PER_TASTE
        favourites = first + random.choice(PER_TASTE, 2, replace=False)
        row: list[tuple[int, int]] = []
        day = random.uniform(0, 7)
        while day < DAYS:
            when = START + int(day * DAY)
            chosen = [*(f for f in favourites if random.random() < 0.7), first + int(random.integers(PER_TASTE))]
            row += [(when + step, int(item)) for step, item in enumerate(chosen)]
            day += random.exponential(6) + 1
        items.append([item for _, item in row])
        times.append([time for time, _ in row])
    return sequences_of(items, times=times)


ITEMS = Items(
    n=TASTES * PER_TASTE,
    category=np.repeat(np.arange(TASTES, dtype=np.int32), PER_TASTE),
    category_names=("Bath", "Garden", "Tea", "Toys"),
    price=np.linspace(1, 40, TASTES * PER_TASTE, dtype=np.float32),
)


FITTED = {"category", "home", "new"}  # no basket there has four products
HEADS = FITTED | {"visit", "product", "cart"}


@pytest.fixture(scope="module")
def learned() -> EngineModel:
    return EngineModel(settings=SMALL).fit(shop().before(START + (DAYS - 14) * DAY), ITEMS)


def test_learns_every_part(learned: EngineModel) -> None:
    assert isinstance(learned, Recommender)
    bundle = learned.bundle
    assert bundle is not None
    assert bundle.ranker is not None
    assert set(bundle.ranker.heads) == HEADS
    assert bundle.network is not None
    assert set(learned.models) == {"popularity", "repurchase", "item-knn", "ease", "next-basket", "network"}
    assert set(learned.fits) == FITTED
    for fit in learned.fits.values():
        assert fit.ndcg
    assert set(learned.executor.seconds) >= {
        "popularity",
        "repurchase",
        "item-knn",
        "ease",
        "network",
        "candidates",
        "ranker",
    }
    assert set(learned.seconds_alone) == {*learned.models, "complements"}
    for name in ("item-knn", "ease"):  # fitted for each of the ranker's windows as well
        assert learned.seconds_alone[name] < learned.executor.seconds[name]
    assert learned.seconds_alone["network"] == learned.executor.seconds["network"]


def test_answers_in_the_taste_of_who_asks(learned: EngineModel) -> None:
    past = shop().before(START + (DAYS - 14) * DAY)
    now = np.full(len(past), START + (DAYS - 14) * DAY)
    ids, scores = learned.recommend(past, 5, now=now)
    assert ids.shape == (len(past), 5)
    assert np.all(np.diff(scores, axis=1) <= 0)
    assert (ids // PER_TASTE == np.arange(len(past))[:, None] % TASTES).mean() > 0.9
    new, _ = learned.recommend(past, 5, now=now, exclude_seen=True)
    for row, found in enumerate(new):
        assert not np.isin(found[found >= 0], past.items_of(row)).any()


def test_a_look_is_left_out_too_when_only_the_new_is_asked(learned: EngineModel) -> None:
    looked = sequences_of([[3, 4]], kinds=[[EventType.VIEW_ITEM.code, EventType.PURCHASE.code]])
    ids, _ = learned.recommend(looked, 10, exclude_seen=True)
    assert len(set(ids[0].tolist()) - {-1}) == 10
    assert not {3, 4} & set(ids[0].tolist())


def test_later_fits_keep_the_ranker(learned: EngineModel) -> None:
    model = EngineModel(settings=SMALL, with_network=False).fit(shop(seed=1), ITEMS)
    assert model.bundle is not None
    ranker = model.bundle.ranker
    assert model.refit_on(shop(seed=2), ITEMS).bundle is not None
    assert model.bundle.ranker is ranker


def test_without_refit_nothing_of_validation_is_in_the_sources() -> None:
    past = shop()
    cut = START + (DAYS - 14) * DAY
    # The newest window is all about one product that nobody bought before.
    train = past.before(cut).take(past.before(cut).item != 0)
    validation = past.take(past.time >= cut)
    model = EngineModel(settings=SMALL, refit=False, with_network=False).fit(train, ITEMS, validation=validation)
    assert model.bundle is not None
    assert model.bundle.until == train.time.max()
    assert model.bundle.popularity.weight[0] == 0
    both = EngineModel(settings=SMALL, refit=True, with_network=False).fit(train, ITEMS, validation=validation)
    assert both.bundle is not None
    assert both.bundle.popularity.weight[0] > 0


def test_windows_lie_behind_each_other() -> None:
    past = shop()
    end = START + DAYS * DAY
    windows = windows_of(past, end - 14 * DAY, 14 * DAY)
    assert [int(window.now[0]) for window in windows] == [end - 42 * DAY, end - 28 * DAY, end - 14 * DAY]
    for window in windows:
        assert window.before.time.max() < window.now[0] <= window.after.time.min()
        assert window.after.time.max() < window.now[0] + 14 * DAY
    assert windows_of(shop(customers=20), end - 14 * DAY, 14 * DAY) == []


def test_followed_keeps_order_and_owners() -> None:
    past = shop(customers=10)
    cut = START + 50 * DAY
    joined = followed(past.before(cut), past.take(past.time >= cut))
    assert np.array_equal(joined.offsets, past.offsets)
    assert np.array_equal(joined.item, past.item)
    assert np.array_equal(joined.time, past.time)


def test_unseen_drops_what_was_had() -> None:
    wanted = Relevant.of([[1, 2], [3], []])
    left = unseen(wanted, sequences_of([[2, 5], [1], [3]]), 10)
    assert left.offsets.tolist() == [0, 1, 2, 2]
    assert left.ids.tolist() == [1, 3]


@pytest.mark.parametrize("customers", [1, 10])
def test_a_shop_that_begins_learns_what_needs_no_choice(customers: int) -> None:
    past = shop(customers=customers)
    model = EngineModel(settings=SMALL).fit(past, ITEMS)
    assert model.young
    assert model.bundle is not None
    assert model.bundle.network is None
    assert not any(fit.ndcg for fit in model.fits.values())
    ids, _ = model.recommend(past, 5)
    assert (ids // PER_TASTE == np.arange(len(past))[:, None] % TASTES).mean() > 0.6
    page = Request(surface="product", seeds=("0",), k=5)
    engine = Engine(model.bundle, Catalogue(model.bundle))
    assert len(engine.recommend(page, State.nothing(int(past.time.max()))).items) == 5


def test_a_record_becomes_a_bundle(tmp_path: Path) -> None:
    past = shop(customers=60)
    assert ITEMS.category is not None
    with open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False) as store:
        store.put_products(
            [
                Product(id=f"p{i}", title=f"Thing {i}", product_type=ITEMS.category_names[ITEMS.category[i]])
                for i in range(ITEMS.n)
            ]
        )
        store.append_events(
            [
                Event(
                    type=EventType.PURCHASE,
                    customer=f"shopper-{customer}",  # nothing that a checksum may hold by chance
                    product=f"p{past.item[row]}",
                    time=from_micros(int(past.time[row]) * 1_000_000),
                )
                for customer in range(len(past))
                for row in range(past.offsets[customer], past.offsets[customer + 1])
            ]
        )
        told: list[str] = []
        bundle = learn_bundle(store, tmp_path, SMALL, lambda _done, _total, status: told.append(status))
    assert told
    # Each of the network's three fits is kept until the bundle is saved.
    assert len(list((tmp_path / "work").glob("*/checkpoint.json"))) == 3
    bundles = Bundles(tmp_path / "bundles")
    version = publish(bundle, bundles, tmp_path, SMALL)
    assert not (tmp_path / "work").exists()
    assert (tmp_path / "reports" / version / "report.html").is_file()
    assert bundle.learned["events"] == past.rows
    assert bundle.learned["customers"] == 60
    assert bundle.metrics["ranker"]["home"]["ndcg@12"]
    evaluation = Evaluation.from_json(bundle.metrics["evaluation"])
    rows = {row.name: row for row in evaluation.rows}
    assert set(rows) == {"engine", "network", "popularity", "repurchase", "item-knn", "ease", "next-basket"}
    assert rows["engine"].fit_seconds > sum(rows[name].fit_seconds for name in ("network", "item-knn", "ease"))
    again = bundles.load()
    assert again.items.outside == bundle.items.outside
    text = b"".join(path.read_bytes() for path in (tmp_path / "bundles" / version).iterdir())
    assert b"shopper-" not in text  # no customer is in a bundle
    Engine(again, Catalogue(again))


def test_lookers_are_asked_after_their_first_looks() -> None:
    before = sequences_of([[0, 1, 2], [3], [4, 5, 6, 7, 8, 9]])
    after = sequences_of([[3, 4], [1, 1, 2], [5, 6, 7, 8, 5]], times=[[10, 11], [10, 12, 13], [20, 21, 22, 23, 24]])
    looks = replace(after, kind=np.array([0, 3, 0, 3, 3, 0, 0, 0, 0, 3], np.int8))
    seen, now, wanted = lookers(Window(before, looks, np.array([9, 9, 9])), np.arange(3), 10)
    assert [seen.items_of(row).tolist() for row in range(3)] == [[3], [1, 1], [5, 6, 7]]
    assert now.tolist() == [10, 12, 22]
    assert [wanted.ids[a:b].tolist() for a, b in pairwise(wanted.offsets)] == [[4], [2], []]


def test_what_was_disliked_teaches_nothing_and_is_known() -> None:
    rate, buy = EventType.RATE.code, EventType.PURCHASE.code
    kinds = [[buy, DISLIKE, buy], [DISLIKE, rate], [buy, DISLIKE, buy]]
    history = sequences_of([[1, 1, 2], [3, 3], [4, 4, 4]], kinds=kinds)
    liked = history.liked()
    assert [liked.items_of(row).tolist() for row in range(3)] == [[2], [3], [4, 4]]
    assert [history.disliked().items_of(row).tolist() for row in range(3)] == [[1], [], []]
    state = states_of(history, 10)[0]
    assert (state.events.item.tolist(), state.disliked.tolist()) == ([2], [1])
    ratings = Ratings.fit(history, 5)
    assert ratings is not None
    assert ratings.low[1] == ratings.low[4] > 0 > ratings.low[3]
    assert Ratings.fit(liked, 5) is None


def test_what_is_rated_low_is_shown_no_more_and_its_like_less() -> None:
    """Half the customers rate every product of the first taste's second half low, and whoever shares their taste sees
    less of it."""
    random = np.random.default_rng(0)
    items, kinds, times = [], [], []
    for customer in range(300):
        picky = customer % 2
        chosen = random.permutation(2 * PER_TASTE)[:12]
        items.append(chosen.tolist())
        kinds.append([DISLIKE if picky and item >= PER_TASTE else EventType.RATE.code for item in chosen.tolist()])
        times.append(np.sort(random.integers(START, START + DAYS * DAY, 12)).tolist())
    past = sequences_of(items, times=times, kinds=kinds)
    model = EngineModel(settings=SMALL, with_network=False).fit(past, ITEMS)
    assert model.bundle is not None
    assert "ratings" in model.bundle
    ids, _ = model.recommend(past, 5)
    for row, found in enumerate(ids):
        assert not np.isin(found, past.disliked().items_of(row)).any()
    low = (ids[1::2] // PER_TASTE == 1).mean()
    assert low < 0.6 * (ids[::2] // PER_TASTE == 1).mean()


def test_category_pages_have_a_head_of_their_own(learned: EngineModel) -> None:
    assert learned.bundle is not None
    past = shop()
    cut = START + (DAYS - 14) * DAY
    after = past.take(past.time >= cut)
    window = Window(past.before(cut), after, np.full(len(past), cut, np.int64))
    items = replace(ITEMS, category=np.arange(ITEMS.n, dtype=np.int32) % 2, category_names=("Even", "Odd"))
    bundle = replace(learned.bundle, facts=items)
    pages = questions_of(window, bundle, 700, 0)["category"]()
    assert len(pages) > 30
    for request, wanted in zip(pages.requests, pages.wanted, strict=True):
        assert request.surface == "category"
        assert set((wanted % 2).tolist()) == {0 if request.filters.categories == ("Even",) else 1}
    seen = pages.states[0].events
    assert question_of(pages.requests[0], seen, 0) == "category"
    assert question_of(replace(pages.requests[0], surface="home"), seen, 0) == "category"
    assert question_of(replace(pages.requests[0], exclude_purchased=True), seen, 0) == "new"
