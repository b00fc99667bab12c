"""Evaluation: what is asked, when, of whom; and that nothing of the days measured is seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Self

import numpy as np
import pytest

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation.baselines import Contestant, fit_baselines
from shelfwise.evaluation.evaluate import compare, cutoff_of, measure
from shelfwise.evaluation.results import Evaluation
from shelfwise.metrics import Relevant
from shelfwise.models.popularity import Popularity
from shelfwise.models.recommender import Items, Progress
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, Floats, IdMap, Longs, Sequences, sequences_of
from shelfwise.settings import Settings
from shelfwise.training.dataset import Dataset

CUSTOMERS = 40
SETTINGS = Settings(validation_days=5)


@pytest.fixture
def dataset() -> Dataset:
    """Thirty days. Customer c buys c % 4 every third day and, in the last five days, product 10 + c % 4 as well."""
    items, times = [], []
    for customer in range(CUSTOMERS):
        days = list(range(customer % 3, 30, 3))
        rows = [(day * DAY + 3_600, customer % 4) for day in days] + [(27 * DAY + 7_200, 10 + customer % 4)]
        rows.sort()
        items.append([item for _, item in rows])
        times.append([time for time, _ in rows])
    features = Items(
        n=20, category=np.arange(20, dtype=np.int32) // 10, category_names=("Food > Fresh", "Garden > <b>Pots</b>")
    )
    return Dataset(
        IdMap(f"p{i}" for i in range(20)),
        IdMap(f"c{i}" for i in range(CUSTOMERS)),
        sequences_of(items, times=times),
        features,
    )


class Witness:
    """A recommender that knows one answer and remembers what it was shown."""

    name = "witness"

    def __init__(self, answer: Callable[[Sequences], Floats]) -> None:
        self.answer = answer
        self.fits: list[tuple[int, int]] = []
        self.asked: list[Longs] = []

    def fit(
        self,
        train: Sequences,
        items: Items,  # noqa: ARG002
        *,
        validation: Sequences | None = None,
        progress: Progress | None = None,  # noqa: ARG002
    ) -> Self:
        newest = -1 if validation is None or not validation.rows else int(validation.time.max())
        self.fits.append((int(train.time.max()), newest))
        return self

    def scores(self, histories: Sequences, *, now: Longs | None = None) -> Floats:
        assert now is not None
        assert (histories.time < np.repeat(now, histories.lengths())).all()
        self.asked.append(now)
        return self.answer(histories)


def truth(histories: Sequences) -> Floats:
    """What the shop's customers go on to buy: their staple first, the surprise second."""
    found = np.zeros((len(histories), 20), np.float32)
    staple = histories.item[histories.offsets[:-1]]
    found[np.arange(len(histories)), staple] = 2
    found[np.arange(len(histories)), staple + 10] = 1
    return found


def test_who_knows_the_future_is_perfect_and_again_only_half(dataset: Dataset) -> None:
    witness = Witness(truth)
    past = dataset.split(cutoff_of(dataset, SETTINGS))[0]
    models = [Contestant(witness, baseline=False), Contestant(Repurchase().fit(past, dataset.features))]
    found = measure(dataset, SETTINGS, models, seconds={"witness": 1.5})
    everything, new = found.tables
    assert (everything.key, everything.n, new.key, new.n) == ("everything", CUSTOMERS, "new", CUSTOMERS)
    perfect, again = everything.rows
    assert perfect.metrics["ndcg@10"].mean == pytest.approx(1)
    assert perfect.metrics["precision@10"].mean == pytest.approx(0.2)
    assert perfect.fit_seconds == 1.5
    assert again.metrics["recall@10"].mean == pytest.approx(0.5)
    assert perfect.against["repurchase"].low > 0
    assert [row.name for row in new.rows] == ["witness"], "again has no answer when nothing seen may be shown"
    assert new.rows[0].metrics["accuracy@1"].mean == 1
    assert found.rows == everything.rows
    assert found.facts.relevant == "purchase"
    assert [int(now[0]) for now in witness.asked] == [found.facts.cutoff], "scored once for both tables"


def test_segments_split_customers_products_and_categories(dataset: Dataset) -> None:
    models = [Contestant(Witness(truth))]
    table = measure(dataset, SETTINGS, models).tables[0]
    groups = {(one.group, one.name): one for one in table.segments}
    assert set(groups) >= {("products", "head"), ("categories", "Food"), ("categories", "Garden")}
    assert groups["categories", "Garden"].n == CUSTOMERS
    assert groups["categories", "Garden"].results["witness"]["recall@10"].mean == 1


def test_fitting_sees_nothing_from_the_cutoff_on(dataset: Dataset) -> None:
    cutoff = cutoff_of(dataset, SETTINGS)
    assert cutoff == 25 * DAY
    refitted, once = Witness(truth), Witness(truth)
    fit_baselines([Contestant(refitted, refit=True), Contestant(once)], dataset, cutoff, SETTINGS, None)
    assert len(once.fits) == 1
    assert len(refitted.fits) == 2
    for newest_trained, newest_validated in once.fits + refitted.fits:
        assert newest_trained < cutoff
        assert newest_validated < cutoff
    assert refitted.fits[0][0] < 20 * DAY <= refitted.fits[0][1]
    assert refitted.fits[1][0] >= 20 * DAY


def test_too_little_to_measure_is_said_before_anything_is_fitted(dataset: Dataset) -> None:
    few = replace(dataset, sequences=dataset.sequences.select(slice(0, 5)))
    with pytest.raises(NotEnoughData, match="5 customers"):
        measure(few, SETTINGS, [Contestant(Popularity())])
    short = Settings(validation_days=29)
    with pytest.raises(NotEnoughData, match="reach back"):
        fit_baselines([Contestant(Popularity())], dataset, cutoff_of(dataset, short), short, None)


def test_a_record_of_views_alone_is_measured_by_views(dataset: Dataset) -> None:
    views = replace(dataset.sequences, kind=np.zeros(dataset.sequences.rows, np.int8))
    found = measure(replace(dataset, sequences=views), SETTINGS, [Contestant(Witness(truth))])
    assert found.facts.relevant == "any"
    assert found.rows[0].metrics["ndcg@10"].mean == pytest.approx(1)


def test_json_there_and_back(dataset: Dataset) -> None:
    found = measure(dataset, SETTINGS, [Contestant(Witness(truth)), Contestant(Witness(truth))][:1])
    again = Evaluation.from_json(found.to_json())
    assert again.to_json() == found.to_json()
    flat = found.rows[0].to_json()
    assert flat["name"] == "witness"
    assert all(isinstance(value, float) for name, value in flat.items() if name != "name")


def test_compare_asks_for_everything_and_for_what_is_new_at_once() -> None:
    train = sequences_of([[0, 1, 1], [1, 2]])
    popularity, again = (model.fit(train, Items(n=4)) for model in (Popularity(), Repurchase()))
    wanted = [(Relevant.of([[1], [2]]), False), (Relevant.of([[2], [0]]), True)]
    everything, unseen = compare([popularity, again], train, wanted, ks=(1, 2))
    assert [row.name for row in everything] == [row.name for row in unseen] == ["popularity", "repurchase"]
    assert everything[0].ids.shape == (2, 2)
    assert everything[0].mean("hit_rate@2") >= 0.5
    assert set(everything[0].estimates()) == set(everything[0].values)
    assert unseen[0].ids.tolist() == [[2, -1], [0, -1]]
