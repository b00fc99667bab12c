"""A product taken out of the cart again is no wish for it, neither live nor in learning."""

from __future__ import annotations

import json
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shelfwise.engine.state import state_of
from shelfwise.errors import NotEnoughData
from shelfwise.intake import load_events
from shelfwise.models.sequences import Sequences
from shelfwise.schema import POSITIVE_TYPES, Event, EventType, Product
from shelfwise.settings import Settings
from shelfwise.store import Store, open_store
from shelfwise.training.dataset import Dataset, read_dataset


def test_a_removal_in_a_ga4_export_is_kept_and_teaches_nothing(tmp_path: Path) -> None:
    start = int(datetime(2024, 3, 1, tzinfo=UTC).timestamp()) * 1_000_000
    told = [("view_item", "tea"), ("remove_from_cart", "soap"), ("add_to_cart", "milk"), ("purchase", "milk")]
    path = tmp_path / "ga4.jsonl"
    path.write_text(
        "".join(
            json.dumps(
                {
                    "event_name": name,
                    "event_timestamp": str(start + place * 1_000_000),
                    "user_pseudo_id": "v1",
                    "user_id": "ann",
                    "items": [{"item_id": product, "quantity": 1, "price": 2.0}],
                }
            )
            + "\n"
            for place, (name, product) in enumerate(told)
        )
    )
    with open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False) as store:
        report = load_events(path, store)
        assert report.kept == 4
        dataset = read_dataset(store, None, Settings())
    assert EventType.REMOVE_FROM_CART not in POSITIVE_TYPES
    assert "soap" not in dataset.items.outside
    kinds = dataset.sequences.kind.tolist()
    assert kinds == [kind.code for kind in (EventType.VIEW_ITEM, EventType.ADD_TO_CART, EventType.PURCHASE)]


BUY, VIEW = EventType.PURCHASE, EventType.VIEW_ITEM
ADD, REMOVE = EventType.ADD_TO_CART, EventType.REMOVE_FROM_CART
START = datetime(2024, 3, 1, tzinfo=UTC)
TOLD = st.lists(
    st.tuples(
        st.sampled_from([ADD, ADD, REMOVE, BUY, VIEW, EventType.SEARCH]),
        st.sampled_from(["ann", "bob", "session:s"]),
        st.sampled_from(["milk", "tea", "unknown", ""]),
    ),
    max_size=30,
)


def recorded(store: Store, told: list[tuple[EventType, str, str]]) -> None:
    """An event an hour."""
    store.put_products([Product(id="milk", title="Milk"), Product(id="tea", title="Tea")])
    store.append_events(
        [
            Event(
                id=f"e{place}",
                type=kind,
                product=product,
                customer="" if who.startswith("session:") else who,
                session=who.removeprefix("session:") if who.startswith("session:") else "",
                time=START + timedelta(hours=place),
                query="tea" if kind == EventType.SEARCH else "",
            )
            for place, (kind, who, product) in enumerate(told)
            if product or kind == EventType.SEARCH
        ]
    )


Rows = dict[str, list[tuple[str, int, int]]]


def named(dataset: Dataset, sequences: Sequences) -> Rows:
    """By customer: (product, kind, seconds)."""
    found: Rows = {}
    for row, name in enumerate(dataset.customers):
        part = sequences.select(slice(row, row + 1))
        events = zip(part.item.tolist(), part.kind.tolist(), part.time.tolist(), strict=True)
        if part.rows:
            found[name] = [(dataset.items.outside[item], kind, time) for item, kind, time in events]
    return found


@given(told=TOLD, at=st.integers(0, 31))
@settings(max_examples=60)
def test_the_dataset_is_what_the_live_state_is(told: list[tuple[EventType, str, str]], at: int) -> None:
    """Every customer's events, now and as of any moment before, with the store and the state that serving uses."""
    cut = START + timedelta(hours=at)
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/record.db", durable=False) as store:
        recorded(store, told)
        try:
            dataset = read_dataset(store, None, Settings())
        except NotEnoughData:
            dataset = None
        known = ["milk", "tea", "unknown"]
        live: Rows = {}
        for who in ("ann", "bob", "session:s"):
            asked = {"session": "s"} if who == "session:s" else {"customer": who}
            rows = store.last_rows(**asked, n=100, prices=True)  # type: ignore[arg-type]
            items = np.array([known.index(name) if name in known else -1 for name in rows.products], np.int32)
            state = state_of(items, rows.kinds, rows.times, rows.prices, now=int(cut.timestamp()))
            events = zip(
                state.events.item.tolist(), state.events.kind.tolist(), state.events.time.tolist(), strict=True
            )
            if state.events.rows:
                live[who] = [(known[item], kind, time) for item, kind, time in events]
        if dataset is None:
            assert not live
            return
        assert named(dataset, dataset.sequences) == live
        before, after = dataset.split(cut)
        try:
            then = read_dataset(store, None, Settings(), until=cut)
        except NotEnoughData:
            assert not before.rows
        else:
            assert named(dataset, before) == named(then, then.sequences)
        second = int(cut.timestamp())
        later = {who: [event for event in events if event[2] >= second] for who, events in live.items()}
        assert named(dataset, after) == {who: events for who, events in later.items() if events}


def test_a_wish_counts_until_it_is_taken_back(tmp_path: Path) -> None:
    told = [(ADD, "ann", "milk"), (VIEW, "ann", "tea"), (REMOVE, "ann", "milk"), (BUY, "bob", "milk")]
    with open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False) as store:
        recorded(store, told)
        dataset = read_dataset(store, None, Settings())
    assert [event[0] for event in named(dataset, dataset.sequences)["ann"]] == ["tea"]
    for hours, wanted in ((1, ["milk"]), (2, ["milk", "tea"]), (3, ["tea"]), (9, ["tea"])):
        before, _ = dataset.split(START + timedelta(hours=hours))
        assert [event[0] for event in named(dataset, before)["ann"]] == wanted


def test_only_things_taken_back_are_not_enough(tmp_path: Path) -> None:
    with open_store(f"sqlite:///{tmp_path / 'record.db'}", durable=False) as store:
        recorded(store, [(ADD, "ann", "milk"), (REMOVE, "ann", "milk")])
        with pytest.raises(NotEnoughData, match="load events"):
            read_dataset(store, None, Settings())


@given(
    told=st.lists(st.tuples(st.integers(-1, 2), st.sampled_from([ADD, REMOVE, BUY, VIEW])), max_size=25),
    now=st.integers(0, 2),
)
def test_the_cart_is_what_a_shopper_would_say(told: list[tuple[int, EventType]], now: int) -> None:
    """Against the rule told one event after the other."""
    day = 86_400
    items = np.array([item for item, _ in told], np.int32)
    kinds = np.array([kind.code for _, kind in told], np.int8)
    times = np.arange(len(told), dtype=np.int64) * day
    asked = (len(told) + 4 * now) * day
    state = state_of(items, kinds, times, np.full(len(told), np.nan, np.float32), now=asked)
    cart: dict[int, list[int]] = {}
    gone: set[int] = set()
    for place, (item, kind) in enumerate(told):
        if item < 0:
            continue
        if kind == ADD:
            cart.setdefault(item, []).append(place)
        elif kind != VIEW:
            additions = cart.pop(item, [])
            gone |= set(additions) if kind == REMOVE else set()
    kept = [place for place, (item, kind) in enumerate(told) if item >= 0 and kind != REMOVE and place not in gone]
    assert state.events.time.tolist() == [place * day for place in kept]
    assert state.cart.tolist() == [item for item, places in cart.items() if places[-1] * day >= asked - 7 * day]
