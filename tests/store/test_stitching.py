"""Random histories of appends, duplicates, late events, sign-ins and forgetting, against a model in plain Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shelfwise.schema import EVENT_COLUMNS, Event, from_micros
from shelfwise.store import Appended, Store, open_store
from shelfwise.store.rows import event_row

START = datetime(2024, 1, 1, tzinfo=UTC)


class Model:
    """The record as docs/design.md tells it, one event after the other."""

    def __init__(self) -> None:
        self.events: list[tuple[Event, str]] = []  # in the order of arrival, with whose it is ("" : the session's)
        self.links: dict[str, str] = {}
        self.customers: set[str] = set()

    def append(self, events: list[Event]) -> Appended:
        accepted = 0
        for one in events:
            if any(known.id == one.id for known, _ in self.events):
                continue
            accepted += 1
            if one.session and one.customer:
                if not self.links.get(one.session):
                    self.events = [
                        (e, one.customer if e.session == one.session and not owner else owner)
                        for e, owner in self.events
                    ]
                self.links[one.session] = one.customer
            elif one.session:
                self.links.setdefault(one.session, "")
            if one.customer:
                self.customers.add(one.customer)
            self.events.append((one, one.customer or self.links[one.session]))
        return Appended(accepted, len(events) - accepted)

    def forget(self, customer: str) -> int:
        kept = [(e, owner) for e, owner in self.events if owner != customer]
        gone = len(self.events) - len(kept)
        self.events = kept
        self.links = {session: owner for session, owner in self.links.items() if owner != customer}
        self.customers.discard(customer)
        return gone

    def last(self, customer: str, session: str, n: int) -> list[str]:
        owners = {customer} - {""}
        if not customer:
            owners = {self.links.get(session, "")} - {""}
        free = session if not self.links.get(session) else ""
        mine = [e for e, owner in self.events if owner in owners or (free and not owner and e.session == free)]
        return [e.id for e in sorted(mine, key=lambda e: e.time)][-n:]


PEOPLE, SESSIONS = ["", "A", "B"], ["", "x", "y"]


@st.composite
def an_event(draw: st.DrawFn) -> Event:
    customer = draw(st.sampled_from(PEOPLE))
    session = draw(st.sampled_from(SESSIONS if customer else SESSIONS[1:]))
    minute = draw(st.integers(0, 8))
    number = draw(st.integers(0, 25))
    time = START + timedelta(minutes=minute)
    return Event(id=str(number), type="view_item", time=time, product="p", customer=customer, session=session)


step = st.one_of(
    st.tuples(st.just("append"), st.lists(an_event(), max_size=6)),
    st.tuples(st.just("import"), st.lists(st.lists(an_event(), max_size=5), max_size=3)),
    st.tuples(st.just("batches"), st.lists(st.lists(an_event(), max_size=4), min_size=1, max_size=3)),
    st.tuples(st.just("forget"), st.sampled_from(["A", "B"])),
)


def _frame(events: list[Event]) -> pl.DataFrame:
    return pl.DataFrame([event_row(one) for one in events], schema=EVENT_COLUMNS, orient="row")


def _apply(store: Store, model: Model, what: str, given_: Any) -> None:
    if what == "append":
        assert store.append_events(given_) == model.append(given_)
    elif what == "import":
        expected = model.append([one for events in given_ for one in events])
        assert store.import_events([_frame(events) for events in given_]) == expected
    elif what == "batches":
        rows = [[event_row(one) for one in events] for events in given_]
        assert store.append_batches(rows) == [model.append(events) for events in given_]
    else:
        assert store.forget(given_) == model.forget(given_)


def _check(store: Store, model: Model) -> None:
    for customer in PEOPLE:
        for session in SESSIONS:
            for n in (2, 99):
                answer = store.last_events(customer=customer, session=session, n=n)
                assert [one.id for one in answer] == model.last(customer, session, n), (customer, session)
                assert store.last_rows(customer=customer, session=session, n=n).times.tolist() == [
                    event_row(one)[2] // 1_000_000 for one in answer
                ]
    in_order = sorted(model.events, key=lambda pair: pair[0].time)
    frames = list(store.event_frames(rows=4))
    told = [row for frame in frames for row in frame.select("id", "customer").iter_rows()]
    assert told == [(one.id, owner) for one, owner in in_order]
    _, arrived = store.events_since(0, 1000)
    assert arrived.select("id", "customer").rows() == [(one.id, owner) for one, owner in model.events]
    counts = store.counts()
    assert counts.events == len(model.events)
    assert counts.customers == len(model.customers)
    assert counts.sessions == len(model.links)
    times = [one.time for one, _ in model.events]
    assert (counts.first, counts.last) == ((min(times), max(times)) if times else (None, None))


@settings(max_examples=60)
@given(st.lists(step, max_size=8))
def test_the_record_agrees_with_the_model(steps: list[tuple[str, Any]]) -> None:
    with tempfile.TemporaryDirectory() as folder, open_store(f"sqlite:///{folder}/r.db", durable=False) as store:
        model = Model()
        for what, given_ in steps:
            _apply(store, model, what, given_)
        _check(store, model)


@pytest.mark.postgres
def test_postgresql_agrees_with_the_model(postgres: Any) -> None:
    with open_store(postgres.new_database(), durable=False) as store:

        @settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
        @given(st.lists(step, max_size=8))
        def run(steps: list[tuple[str, Any]]) -> None:
            with store._database.write() as connection:
                connection.exec_driver_sql("TRUNCATE events, sessions, customers")
                connection.exec_driver_sql("UPDATE tally SET value = 0")
            model = Model()
            for what, given_ in steps:
                _apply(store, model, what, given_)
            _check(store, model)

        run()


def test_times_are_exact_to_the_microsecond(store: Store, new_url: Callable[[], str]) -> None:
    times = [from_micros(1_700_000_000_123_456), from_micros(1_700_000_000_123_457), from_micros(1)]
    store.append_events([Event(type="view_item", customer="c", product="p", time=time) for time in times])
    assert [one.time for one in store.last_events(customer="c", n=9)] == sorted(times)
