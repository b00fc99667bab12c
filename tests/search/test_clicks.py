from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from shelfwise.schema import EVENT_COLUMNS, Event, EventType, Product
from shelfwise.search.retrieve.clicks import Clicks
from shelfwise.shop import Shop
from shelfwise.store.rows import event_row
from shelfwise.testing import simulated_searches

START = datetime(2024, 5, 1, tzinfo=UTC)


def frame(*events: Event) -> pl.DataFrame:
    return pl.DataFrame([event_row(event) for event in events], schema=EVENT_COLUMNS, orient="row")


def event(kind: EventType, person: str, minute: float = 0, **told: str) -> Event:
    return Event(type=kind, session=person, time=START + timedelta(minutes=minute), **told)  # type: ignore[arg-type]


def test_what_is_turned_to_after_a_query_answers_it() -> None:
    clicks = Clicks()
    clicks.learn(frame(event(EventType.SEARCH, "a", query="Red MUG")))
    clicks.learn(
        frame(
            event(EventType.VIEW_ITEM, "a", 1, product="x"),
            event(EventType.PURCHASE, "a", 2, product="x"),
            event(EventType.VIEW_ITEM, "a", 3, product="y"),
            event(EventType.VIEW_ITEM, "b", 3, product="z"),  # asked nothing
            event(EventType.PURCHASE, "a", 90, product="w"),  # long after
        )
    )
    found = clicks.of("red mug")
    assert set(found) == {"x", "y"}
    assert 1 > found["x"] > found["y"] > 0
    assert clicks.of("mug") == {}


def test_one_person_counts_once_and_low_places_count_more() -> None:
    clicks = Clicks()
    shown = [event(EventType.VIEW_ITEM_LIST, "a", product=name, request_id="r") for name in ("x", "y", "z")]
    clicks.learn(frame(event(EventType.SEARCH, "a", query="mug", request_id="r"), *shown))
    clicks.learn(frame(*(event(EventType.SELECT_ITEM, "a", 1, product="x", request_id="r") for _ in range(9))))
    clicks.learn(frame(event(EventType.SELECT_ITEM, "a", 1, product="z", request_id="r")))
    found = clicks.of("mug")
    assert found["z"] > found["x"]


def test_clicks_change_the_order_at_once_and_can_be_left_out(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none") as shop:
        shop.put_products([Product(id=f"p{n}", title=f"Mug number {n}") for n in range(30)])
        before = [hit.product for hit in shop.search("mug", k=30).items]
        wanted = before[-1]
        for n in range(8):
            shop.append_events(
                [
                    Event(type=EventType.SEARCH, session=f"s{n}", query="mug"),
                    Event(type=EventType.ADD_TO_CART, session=f"s{n}", product=wanted),
                ]
            )
        shop.refresh()
        found = shop.search("mug", k=30, explain=True)
        assert found.items[0].product == wanted
        assert found.items[0].parts["learned"] > 0
        assert [hit.product for hit in shop.search("mug", k=30, learned=False).items] == before
    with Shop(tmp_path / "shop") as again:
        assert again.search("mug").items[0].product == wanted


def test_corrected_clicks_order_better_than_raw_ones_when_places_attract() -> None:
    """SIMULATED searchers: the tops of lists are looked at most. Agreement with what who looks wants, as the mean
    Kendall correlation over queries."""
    told = simulated_searches(queries=30, searchers=300)
    clicks = Clicks()
    clicks.learn(told.events)
    raw = dict(told.events.filter(pl.col("type") == "select_item").group_by("product").len().iter_rows())
    agreement = []
    for q, (query, shown) in enumerate(told.shown.items()):
        corrected = clicks.of(query)
        orders = [[evidence.get(product, 0) for product in shown] for evidence in (raw, corrected)]
        wanted = np.sign(np.subtract.outer(told.wanted[q], told.wanted[q]))
        pairs = np.count_nonzero(wanted)
        agreement.append([float((np.sign(np.subtract.outer(o, o)) * wanted).sum()) / pairs for o in orders])
    uncorrected, corrected_ = np.mean(agreement, axis=0)
    assert corrected_ > 0.7 > 0.55 > uncorrected
