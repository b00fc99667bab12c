"""Case 30: a vacuum cleaner was bought last week: no more vacuum cleaners, but coffee when it is due."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from shelfwise.models.recommender import Items
from shelfwise.models.repurchase import Repurchase
from shelfwise.models.sequences import DAY, sequences_of
from shelfwise.schema import EventType
from shelfwise.shop import Shop

BUY = EventType.PURCHASE.code


def test_the_shop_of_the_case(case: Callable[[int], Path], new_shop: Callable[..., Shop]) -> None:
    folder = case(30)
    shop = new_shop(minutes=0.3, epochs=2, validation_days=10)
    shop.load_products(folder / "feed.csv")
    shop.load_events(folder / "log.csv")
    shop.train()
    log = pl.read_csv(folder / "log.csv").filter(pl.col("type") == "purchase")
    lines = (folder / "bought-a-vacuum-lately.txt").read_text().split("\n")
    coffee = 0
    for customer, vacuum, _ in (line.split() for line in lines if line.strip()):
        bought = log.filter(pl.col("customer") == customer)["product"]
        own = bought.filter(bought.str.starts_with("F")).value_counts(sort=True)["product"][0]
        answer = shop.recommend(customer=customer, k=8)
        shown = [item.product for item in answer.items]
        assert vacuum not in shown
        assert len([name for name in shown[:5] if name.startswith("V")]) <= 1
        assert len(shown) == 8
        again = [item for item in answer.items[:5] if item.product == own]
        coffee += bool(again) and "You buy this" in again[0].reason
        new = shop.recommend(customer=customer, k=8, exclude_purchased=True)
        assert not {item.product for item in new.items} & set(bought)
        page = shop.recommend(customer=customer, k=8, surface="product", seeds=[vacuum])
        assert len(page.items) == 8
    assert coffee >= 0.8 * len([line for line in lines if line.strip()])


def _shop(lasting: float) -> tuple[Repurchase, int]:
    """60 customers over a year: product 0 (category 0) bought once, and again after `lasting` days; product 1
    (category 1) each week."""
    rows, times = [], []
    for customer in range(60):
        start = 3.0 * customer
        events = [(day, 0) for day in np.arange(start, 365, lasting)]
        events += [(day, 1) for day in np.arange(customer % 7, 365, 7)]
        events.sort()
        rows.append([item for _, item in events])
        times.append([int(day * DAY) for day, _ in events])
    train = sequences_of(rows, times=times, kinds=[[BUY] * len(row) for row in rows])
    items = Items(n=3, category=np.array([0, 1, 0], np.int32), category_names=("Vacuums", "Coffee"))
    return Repurchase(half_life=90, rhythm=0).fit(train, items), 365 * DAY


def _held(model: Repurchase, item: int, days: float, now: int) -> tuple[list[int], list[int]]:
    items, times = np.array([item], np.int32), np.array([now - int(days * DAY)])
    products, categories = model.held(items, times, now, np.array([[0, 1, 0][item]], np.int32))
    return products.tolist(), categories.tolist()


def test_how_often_it_is_bought_again_decides() -> None:
    model, now = _shop(lasting=10_000)
    assert _held(model, 0, 14, now) == ([0], [0])
    assert _held(model, 0, 300, now) == ([0], [0])
    assert _held(model, 0, 500, now) == ([], [])
    assert _held(model, 2, 14, now) == ([2], [0])  # another of its category
    assert _held(model, 1, 2, now) == ([], [])
    again = Repurchase.from_tensors(model.tensors())
    assert _held(again, 0, 14, now) == ([0], [0])


def test_what_is_bought_in_its_rhythm_waits_for_nothing() -> None:
    model, now = _shop(lasting=30)
    assert _held(model, 0, 14, now) == ([], [])


@pytest.mark.parametrize("empty", [True, False])
def test_without_categories_or_events(empty: bool) -> None:
    train = sequences_of([[]] if empty else [[0]], times=[[]] if empty else [[0]])
    model = Repurchase(half_life=90, rhythm=0).fit(train, Items(n=1))
    assert _held(model, 0, 1, DAY) == ([], [])
