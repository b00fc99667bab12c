import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shelfwise.errors import InvalidRequest, NotEnoughData
from shelfwise.evaluation import questions
from shelfwise.evaluation.protocols import QUESTIONS, QuestionSet, Record, baskets_of
from shelfwise.models.recommender import Items
from shelfwise.models.sequences import DAY, IdMap, Ints, Sequences, sequences_of
from shelfwise.schema import EventType
from shelfwise.training.dataset import Dataset
from shelfwise.training.learn import EngineModel
from tests.training.test_pipeline import SMALL

START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())
DAYS, WINDOW, PAIRS = 90, 14, 20
CUTOFF = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=DAYS - WINDOW)
CUT = int(CUTOFF.timestamp())
KEYS = {"question", "name", "ndcg@12", "hit@12", "recall@12", "low", "high", "overlap", "distinct", "asked"}
#: Product 2p goes with 2p + 1, in another leaf category. The last twenty are sold in the window only.
N = 2 * PAIRS + 20
ITEMS = Items(
    n=N,
    category=np.array([*([0, 2] * (PAIRS // 2)), *([1, 3] * (PAIRS // 2)), *([0, 2] * 10)], np.int32),
    category_names=("Food > Bread", "Food > Tea", "Home > Soap", "Home > Towels"),
    price=np.linspace(1, 9, N, dtype=np.float32),
)


def shop(customers: int = 150) -> Sequences:
    """About weekly baskets of two pairs each; in the window often something new beside."""
    random = np.random.default_rng(3)
    items, times = [], []
    for customer in range(customers):
        favourites = (customer + np.array([0, 1, 5, 7])) % PAIRS
        row: list[tuple[int, int]] = []
        day = random.uniform(0, 7)
        while day < DAYS:
            chosen = [int(2 * pair + side) for pair in random.choice(favourites, 2, replace=False) for side in (0, 1)]
            if day >= DAYS - WINDOW and random.random() < 0.7:
                chosen.append(int(2 * PAIRS + random.integers(20)))
            row += [(START + int(day * DAY), item) for item in chosen]
            day += random.exponential(5) + 1
        items.append([item for _, item in row])
        times.append([time for time, _ in row])
    return sequences_of(items, times=times)


def dataset(items: Items = ITEMS, sequences: Sequences | None = None) -> Dataset:
    sequences = shop() if sequences is None else sequences
    return Dataset(IdMap(f"p{i}" for i in range(N)), IdMap(map(str, range(len(sequences)))), sequences, items)


@pytest.fixture(scope="module")
def record() -> Record:
    return Record.cut(dataset(), CUT, WINDOW)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def partner(asked: QuestionSet) -> Ints:
        return asked.cut(seeds ^ 1 for seeds in asked.seeds)

    folder = tmp_path_factory.mktemp("questions")
    return questions.measure(
        dataset(), SMALL, CUTOFF, WINDOW, more={"partner": partner}, export=folder / "asked.jsonl", engine=False
    ) | {"export": folder / "asked.jsonl"}


def asked_of(record: Record, name: str) -> QuestionSet:
    asked = record.ask(name)
    assert isinstance(asked, QuestionSet)
    return asked


def test_rows_have_the_keys_of_every_report(measured: dict[str, Any]) -> None:
    assert measured["rows"]
    for row in measured["rows"]:
        assert set(row) == KEYS
        assert 0 <= row["low"] <= row["ndcg@12"] <= row["high"] <= 1
        assert 0 <= row["overlap"] <= 1
        assert 0 <= row["distinct"] <= N
    assert {row["question"] for row in measured["rows"]} >= {"complements", "cart", "cold page", "cold product"}


def test_who_knows_the_partner_wins_and_a_baseline_that_counts_finds_it(measured: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in measured["rows"] if row["question"] == "complements"}
    assert rows["partner"]["ndcg@12"] > 0.3
    assert rows["co-occurrence 0.25"]["hit@12"] >= rows["partner"]["hit@12"] > 0.5
    against = {(one["question"], one["name"]): one for one in measured["against"]}
    one = against["complements", "partner"]
    assert one["difference"] == pytest.approx(rows["partner"]["ndcg@12"] - rows[one["baseline"]]["ndcg@12"], abs=2e-5)
    assert one["low"] <= one["difference"] <= one["high"]


def test_nothing_popular_or_of_the_same_leaf_is_wanted_or_shown(record: Record) -> None:
    asked = asked_of(record, "complements")
    assert record.popular.sum() == N // 20
    assert not record.popular[asked.wanted.ids].any()
    for i, seeds in enumerate(asked.seeds):
        wanted = asked.wanted.ids[asked.wanted.offsets[i] : asked.wanted.offsets[i + 1]]
        assert not np.isin(record.leaf[wanted], record.leaf[seeds]).any()
        assert not asked.allowed(i)[seeds].any()
        assert asked.allowed(i)[wanted].all()


def test_whoever_is_asked_can_be_answered(record: Record) -> None:
    for name in QUESTIONS:
        asked = record.ask(name)
        if isinstance(asked, str):
            continue
        assert (asked.wanted.lengths() > 0).all()
        for i in range(len(asked)):
            wanted = asked.wanted.ids[asked.wanted.offsets[i] : asked.wanted.offsets[i + 1]]
            assert asked.allowed(i)[wanted].all(), name
        assert (asked.past.time < CUT).all()
        assert (asked.histories.time < CUT).all()


def test_hidden_products_are_nowhere_in_what_a_cold_page_learns_from(record: Record) -> None:
    asked = asked_of(record, "cold page")
    seeds = np.concatenate(asked.seeds)
    assert not np.isin(asked.past.item, seeds).any()
    assert 0.5 * len(record.past.item) < asked.past.rows < len(record.past.item)


def test_only_products_first_sold_in_the_window_answer_cold_product(record: Record) -> None:
    asked = asked_of(record, "cold product")
    assert asked.wanted.ids.min() >= 2 * PAIRS
    assert not np.flatnonzero(~asked.hidden).min() < 2 * PAIRS


def test_draws_follow_the_seed(record: Record) -> None:
    again, other = Record.cut(dataset(), CUT, WINDOW), Record.cut(dataset(), CUT, WINDOW, seed=1)
    for name in ("complements", "cart", "home, first visit"):
        first, second, third = (asked_of(one, name) for one in (record, again, other))
        assert all(map(np.array_equal, first.seeds, second.seeds))
        assert not all(map(np.array_equal, first.seeds, third.seeds))


def test_exported_questions_are_read_back(measured: dict[str, Any]) -> None:
    path: Path = measured["export"]
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    pages = [line for line in lines if line["question"] == "complements"]
    sizes = {row["question"]: row["asked"] for row in measured["rows"]}
    assert len(pages) == sizes["complements"]
    for line in pages:
        assert line["wanted"]
        assert all(product.startswith("p") for product in line["seeds"] + line["wanted"])


def test_a_record_that_cannot_ask_says_why() -> None:
    plain = Items(n=N)
    found = questions.measure(dataset(plain), SMALL, CUTOFF, WINDOW, engine=False, only=["cart", "category page"])
    assert found["not_asked"] == {"category page": "the catalogue has no categories"}
    assert {row["question"] for row in found["rows"]} == {"cart"}
    with pytest.raises(NotEnoughData, match="no categories"):
        questions.measure(dataset(plain), SMALL, CUTOFF, WINDOW, engine=False, only=["category page"])
    with pytest.raises(InvalidRequest, match="complements"):
        questions.measure(dataset(), SMALL, CUTOFF, WINDOW, only=["compliments"])


@pytest.mark.slow
def test_the_engine_answers_and_learns_once(tmp_path: Path) -> None:
    only = ["home, known", "complements", "cold product", "category page"]
    first = questions.measure(dataset(), SMALL, CUTOFF, WINDOW, only=only, most=60, work=tmp_path)
    engine = {row["question"]: row for row in first["rows"] if row["name"] == "engine"}
    assert set(engine) >= set(only)
    assert engine["cold product"]["hit@12"] > 0
    assert engine["category page"]["hit@12"] > 0.5
    (bundle,) = tmp_path.iterdir()
    before = bundle.stat().st_mtime_ns
    assert questions.measure(dataset(), SMALL, CUTOFF, WINDOW, only=only, most=60, work=tmp_path) == first
    assert bundle.stat().st_mtime_ns == before


def test_an_engine_at_hand_is_asked_as_it_is() -> None:
    model = EngineModel(settings=SMALL, names=dataset().items, with_network=False)
    model.fit(dataset().split(CUTOFF)[0], ITEMS)
    only = ["home, known", "complements", "cold page"]
    found = questions.measure(dataset(), SMALL, CUTOFF, WINDOW, only=only, most=40, learned_here=model)
    assert "training of its own" in found["not_asked"]["cold page"]
    names = [row["name"] for row in found["rows"] if row["question"] == "complements"]
    assert names[:2] == ["engine", "complements"]
    assert "ease" in {row["name"] for row in found["rows"] if row["question"] == "home, known"}
    assert [row["pages"] for row in found["pages"]] == ["never sold", "sold 51+"]
    assert all(0 <= row["overlap"] <= 1 for row in found["pages"])
    assert found["dial"][0]["ndcg@12"] > found["dial"][-1]["ndcg@12"] > 0
    with pytest.raises(InvalidRequest, match="photos"):
        questions.measure(dataset(), SMALL, CUTOFF, WINDOW, only=only, without=["prices"])


def test_views_make_visits_and_substitutes() -> None:
    sequences = shop()
    views = np.zeros(sequences.rows, np.bool_)
    views[1::2] = True
    sequences.kind[views] = EventType.VIEW_ITEM.code
    record = Record.cut(dataset(sequences=sequences), CUT, WINDOW)
    asked = asked_of(record, "substitutes")
    for i, seeds in enumerate(asked.seeds):
        wanted = asked.wanted.ids[asked.wanted.offsets[i] : asked.wanted.offsets[i + 1]]
        assert (record.leaf[wanted] == record.leaf[seeds[0]]).all()
    found = questions.measure(
        dataset(sequences=sequences), SMALL, CUTOFF, WINDOW, engine=False, only=["substitutes", "home, first visit"]
    )
    assert "co-view" in {row["name"] for row in found["rows"] if row["question"] == "substitutes"}


def test_baskets_end_with_a_pause() -> None:
    events = sequences_of([[1, 2, 2, 3], [3]], times=[[0, 10, 20, 4_000], [4_000]])
    found = [sorted(one.tolist()) for one in baskets_of(events, np.random.default_rng(0))]
    assert found == [[1, 2], [3], [3]]


def test_overlap_is_the_share_of_equal_products() -> None:
    same = np.tile(np.arange(12, dtype=np.int32), (3, 1))
    assert questions.overlap(same) == 1
    assert questions.overlap(np.arange(24, dtype=np.int32).reshape(2, 12)) == 0
    half = np.array([[0, 1, -1], [1, 2, -1]], np.int32)
    assert questions.overlap(half) == 0.5


def test_a_variant_of_what_is_shown_stands_in_nobodys_place() -> None:
    items = replace(ITEMS, group=np.arange(N, dtype=np.int32) // 4)  # four neighbours are variants
    asked = asked_of(Record.cut(dataset(items), CUT, WINDOW), "substitutes")
    for i, seeds in enumerate(asked.seeds):
        wanted = asked.wanted.ids[asked.wanted.offsets[i] : asked.wanted.offsets[i + 1]]
        assert (wanted // 4 != seeds[0] // 4).all()
        assert not asked.allowed(i)[seeds[0] // 4 * 4 : seeds[0] // 4 * 4 + 4].any()
