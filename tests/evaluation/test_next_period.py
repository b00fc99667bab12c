from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from shelfwise.errors import NotEnoughData
from shelfwise.evaluation import next_period
from shelfwise.models.sequences import DAY, IdMap
from shelfwise.schema import EventType
from shelfwise.training.dataset import Dataset
from tests.training.test_pipeline import DAYS, ITEMS, SMALL, START, shop

CUTOFF = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=DAYS - 14)


def dataset() -> Dataset:
    sequences = shop()
    return Dataset(IdMap(map(str, range(ITEMS.n))), IdMap(map(str, range(len(sequences)))), sequences, ITEMS)


@pytest.fixture(scope="module")
def result() -> dict[str, object]:
    return next_period.measure(dataset(), SMALL, CUTOFF, 14, ("engine", "popularity", "repurchase", "item-knn", "ease"))


def test_rows_have_every_metric(result: dict[str, list[dict[str, float]]]) -> None:
    assert [row["name"] for row in result["rows"]] == ["engine", "popularity", "repurchase", "item-knn", "ease"]
    for row in result["rows"]:
        for metric in ("recall@12", "ndcg@12", "map@12", "new_recall@12", "new_ndcg@12", "new_map@12"):
            assert 0 <= row[metric] <= 1
            low, high = row["intervals"][metric]  # type: ignore[index]
            assert low <= row[metric] <= high
    by_name = {row["name"]: row for row in result["rows"]}
    assert by_name["repurchase"]["new_ndcg@12"] == 0
    assert by_name["engine"]["ndcg@12"] > by_name["popularity"]["ndcg@12"]  # type: ignore[index]


def test_asks_those_known_before_who_bought_in_the_window(result: dict[str, int]) -> None:
    past = shop()
    cut = START + (DAYS - 14) * DAY
    before, window = past.before(cut), past.take((past.time >= cut) & (past.time < cut + 14 * DAY))
    asked = (before.lengths() > 0) & (window.lengths() > 0)
    assert result["customers"] == asked.sum()
    new = [set(window.items_of(i)) - set(before.items_of(i)) for i in np.flatnonzero(asked)]
    assert result["new_customers"] == sum(bool(one) for one in new)
    assert result["bought"] == sum(len(set(window.items_of(i))) for i in np.flatnonzero(asked))
    assert result["events"] == before.rows


def test_who_only_looked_before_is_not_asked(result: dict[str, int]) -> None:
    past, whole = shop(), dataset()
    looked = np.zeros(past.rows, np.bool_)
    looked[: past.offsets[10]] = True  # ten customers who had not bought anything before the cutoff
    looked &= past.time < START + (DAYS - 14) * DAY
    whole.sequences.kind[looked] = EventType.VIEW_ITEM.code
    window = past.take((past.time >= START + (DAYS - 14) * DAY) & (past.time < START + DAYS * DAY))
    found = next_period.measure(whole, SMALL, CUTOFF, 14, ("popularity",))
    assert found["customers"] == result["customers"] - np.count_nonzero(window.lengths()[:10])


def test_nothing_after_the_cutoff_is_learned() -> None:
    whole = dataset()
    changed = shop()
    later = changed.time >= START + (DAYS - 14) * DAY
    changed.item[later] = 0  # what comes later is another world …
    rows = ("engine", "popularity", "ease")
    measured = []
    for sequences in (whole.sequences, changed):
        models, _ = next_period._fitted(
            sequences.before(START + (DAYS - 14) * DAY), ITEMS, SMALL, ("popularity", "ease"), None, None
        )
        measured.append([model.scores(whole.sequences)[0] for model in models])  # type: ignore[union-attr]
    for first, second in zip(*measured, strict=True):
        assert np.array_equal(first, second)  # … and the models are the same
    assert rows


@pytest.mark.slow
def test_the_networks_are_bounded_or_left_out() -> None:
    rows = ("popularity", "ncf", "described")
    found = next_period.measure(dataset(), SMALL, CUTOFF, 14, rows, baseline_minutes=1e-6)
    assert [row["name"] for row in found["rows"]] == list(rows)
    assert ["stopped_after" in row for row in found["rows"]] == [False, True, True]
    found = next_period.measure(dataset(), SMALL, CUTOFF, 14, rows, baseline_minutes=0)
    assert [row["name"] for row in found["rows"]] == ["popularity"]


def test_a_window_nobody_bought_in_is_refused() -> None:
    with pytest.raises(NotEnoughData, match="another cutoff"):
        next_period.measure(dataset(), SMALL, CUTOFF + timedelta(days=365), 14, ("popularity",))
