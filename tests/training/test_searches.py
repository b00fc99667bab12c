"""The ranker learns from states that know what was sought, and from no search that came later."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from shelfwise.engine.state import SEARCH
from shelfwise.models.bundle import Bundle
from shelfwise.models.popularity import Popularity
from shelfwise.models.sequences import IdMap
from shelfwise.schema import Event, EventType, Product
from shelfwise.settings import Settings
from shelfwise.store import Store, open_store
from shelfwise.training.dataset import read_dataset
from shelfwise.training.questions import questions_of
from shelfwise.training.searches import PastSearches
from shelfwise.training.windows import Window

CUT = datetime(2024, 3, 1, tzinfo=UTC)
PRODUCTS = ("tea", "mug", "soap")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False) as store:
        store.put_products([Product(id=name, title=name) for name in PRODUCTS])
        yield store


def sought(customer: str, query: str, hours: float, session: str = "") -> Event:
    """hours: after the cut."""
    return Event(
        type=EventType.SEARCH, customer=customer, session=session, query=query, time=CUT + timedelta(hours=hours)
    )


def find(query: str) -> list[str]:
    return {"cup": ["mug", "gone", "tea"], "wash": ["soap"]}.get(query.casefold(), [])


def test_the_last_day_before_counts_newest_first_each_query_once(store: Store) -> None:
    store.append_events(
        [
            sought("ann", "wash", -30),
            sought("ann", "CUP", -9),
            sought("ann", "cup", -2),
            sought("ann", "nothing", -1),
            sought("ann", "wash", 1),
            sought("", "wash", -3, session="s"),
        ]
    )
    searches = PastSearches(store, IdMap(["bob", "ann", "session:s"]), IdMap(PRODUCTS), find)
    now = int(CUT.timestamp())
    assert searches
    assert [(one.query, one.rows.tolist()) for one in searches.of(1, now)] == [("nothing", []), ("cup", [1, 0])]
    assert [one.query for one in searches.of(2, now)] == ["wash"]
    assert searches.of(0, now) == []
    assert [one.query for one in searches.of(1, now + 7200)] == ["wash", "nothing", "cup"]


def test_questions_of_training_know_what_was_sought_before_them(store: Store) -> None:
    bought = [
        Event(type=EventType.PURCHASE, customer=f"c{n}", product=product, time=CUT + timedelta(days=days))
        for n in range(40)
        for product, days in (("soap", -9), ("soap", -4), ("tea", 2))
    ]
    store.append_events([*bought, sought("c7", "cup", -1), sought("c8", "cup", 1)])
    dataset = read_dataset(store, None, Settings())
    before, after = dataset.split(CUT)
    window = Window(before, after, np.full(len(before), int(CUT.timestamp()), np.int64))
    counts = {"popularity": Popularity().fit(before, dataset.features)}
    bundle = Bundle.make(items=dataset.items, features=dataset.features, artefacts=counts, until=0, settings={})
    searches = PastSearches(store, dataset.customers, dataset.items, find)
    states = questions_of(window, bundle, 700, 0, searches)["home"]().states
    known = [dataset.customers.outside[row] for row in window.active().tolist()]
    told = {name: state for name, state in zip(known, states, strict=True) if state.searches}
    assert set(told) == {"c7"}
    state = told["c7"]
    rows = [dataset.items.inside(name) for name in ("mug", "tea")]
    assert state.searches[0].rows.tolist() == rows
    assert set(state.events.item[state.events.kind == SEARCH].tolist()) == set(rows)
    plain = questions_of(window, bundle, 700, 0)["home"]().states
    assert not any(one.searches for one in plain)
