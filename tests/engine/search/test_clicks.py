from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl

from shelfwise.engine.search.clicks import Clicks
from shelfwise.schema import EVENT_COLUMNS, Event, EventType, Product
from shelfwise.shop import Shop
from shelfwise.store.rows import event_row

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
                    Event(type=EventType.PURCHASE, session=f"s{n}", product=wanted, price=3.0),
                ]
            )
        shop.refresh()
        found = shop.search("mug", k=30, explain=True)
        assert found.items[0].product == wanted
        assert found.items[0].parts["learned"] > 0
        assert [hit.product for hit in shop.search("mug", k=30, learned=False).items] == before
    with Shop(tmp_path / "shop") as again:
        assert again.search("mug").items[0].product == wanted
