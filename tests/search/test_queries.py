"""Recorded queries counted, and how each would be answered now."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import polars as pl

from shelfwise.schema import EVENT_COLUMNS, Event, EventType, Product, Synonym, now
from shelfwise.search.queries import count_queries, outcomes
from shelfwise.shop import Shop

BEGUN = now() - timedelta(days=3)


def event(minute: int, who: str, query: str = "", product: str = "") -> Event:
    kind = EventType.SEARCH if query else EventType.VIEW_ITEM
    person = {"session": who} if who.startswith("visit") else {"customer": who}
    return Event(type=kind, query=query, product=product, time=BEGUN + timedelta(minutes=minute), **person)


EVENTS = [
    event(0, "ann", "Lamp"),
    event(1, "ann", product="lamp"),
    event(2, "ann", "lamp"),
    event(3, "visit-1", "LAMP"),
    event(200, "visit-1", product="lamp"),
    event(4, "bob", "settee"),
    event(5, "bob", "ann@example.com"),
    event(6, "bob", "lapm"),
    event(7, "bob", product="lamp"),
]


def test_forms_of_a_query_are_one_and_what_it_led_to_is_counted(tmp_path: Path) -> None:
    with Shop.create(tmp_path / "shop", text_encoder="none", image_encoder="none", durable=False) as shop:
        shop.put_products([Product(id="lamp", title="Desk lamp"), Product(id="sofa", title="Grey sofa")])
        shop.append_events(EVENTS)
        frames = list(shop.store.event_frames())
        found = count_queries(pl.concat(frames))
        told = {one.query.lower(): (one.times, one.people, one.turned) for one in found}
        assert told == {"lamp": (3, 2, 1), "settee": (1, 1, 0), "lapm": (1, 1, 1)}
        assert found[0].last == BEGUN + timedelta(minutes=3)
        assert [one.query.lower() for one in count_queries(pl.concat(frames), limit=1)] == ["lamp"]
        kinds = {one.counted.query.lower(): one.kind for one in outcomes(shop.searching, found)}
        assert kinds == {"lamp": "found", "settee": "none", "lapm": "corrected"}
        shop.store.put_synonyms([Synonym(("settee", "sofa"))], "test")
        shop.refresh()
        again = {one.counted.query: one for one in outcomes(shop.searching, found)}["settee"]
        assert (again.kind, again.total) == ("found", 1), "what was mended since no longer fails"


def test_no_searches_no_queries() -> None:
    assert count_queries(pl.DataFrame(schema=EVENT_COLUMNS)) == []
