"""The contract of the record, the same for SQLite and PostgreSQL."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest

from shelfwise.errors import InvalidRecord, StoreError
from shelfwise.schema import EVENT_COLUMNS, PRODUCT_COLUMNS, Availability, Campaign, Event, Product, to_micros
from shelfwise.store import Appended, Store, open_store
from shelfwise.store.rows import event_row

START = datetime(2024, 5, 1, tzinfo=UTC)


def event(id: str, minute: float = 0, **fields: Any) -> Event:
    kind = fields.pop("type", "view_item")
    return Event(id=id, type=kind, time=START + timedelta(minutes=minute), product=fields.pop("product", "p"), **fields)


def ids(events: list[Event]) -> list[str]:
    return [one.id for one in events]


def frame(*events: Event) -> pl.DataFrame:
    return pl.DataFrame([event_row(one) for one in events], schema=EVENT_COLUMNS, orient="row")


def test_a_new_record_is_empty(store: Store) -> None:
    counts = store.counts()
    assert (counts.products, counts.events, counts.customers, counts.sessions) == (0, 0, 0, 0)
    assert counts.first is None
    assert counts.last is None
    assert store.last_events(customer="A", n=5) == []
    assert store.last_rows(session="s", n=5).products == []
    assert list(store.event_frames()) == []
    assert store.events_since(0, 10)[1].schema == EVENT_COLUMNS
    assert store.products_frame().schema == PRODUCT_COLUMNS
    assert store.product_revision() == 0
    assert store.append_events([]) == Appended(0, 0)


def test_an_event_comes_back_as_it_went_in(store: Store, url: str) -> None:
    full = event(
        "e1",
        1.5,
        type="rate",
        customer="Ärger 😀",
        session="s'1",
        quantity=0.1,
        price=19.99,
        value=-4.5,
        request_id="r",
    )
    search = Event(id="e2", type="search", time=START, customer="Ärger 😀", query='50% "off"\n')
    assert store.append_events([full, search]) == Appended(2, 0)
    with open_store(url) as again:
        assert again.last_events(customer="Ärger 😀", n=9) == [search, full]


def test_last_events_are_the_newest_by_time_oldest_first(store: Store) -> None:
    store.append_events([event(str(minute), minute, customer="A") for minute in (5, 1, 4, 2)])
    store.append_events(
        [event("late", 3, customer="A"), event("tie", 5, customer="A"), event("other", 9, customer="B")]
    )
    assert ids(store.last_events(customer="A", n=4)) == ["late", "4", "5", "tie"]
    assert ids(store.last_events(customer="A", n=100)) == ["1", "2", "late", "4", "5", "tie"]
    assert store.last_events(customer="", session="", n=3) == []


def test_rows_say_the_same_as_events(store: Store) -> None:
    store.append_events([event(str(i), i, customer="A", product=f"p{i}", quantity=i + 1) for i in range(5)])
    store.append_events([event("b", 9, customer="A", type="purchase", price=2.5)])
    events, rows = store.last_events(customer="A", n=4), store.last_rows(customer="A", n=4)
    assert rows.products == [one.product for one in events]
    assert rows.kinds.tolist() == [one.type.code for one in events]
    assert rows.times.tolist() == [to_micros(one.time) // 1_000_000 for one in events]
    assert str(rows.prices.tolist()) == "[nan, nan, nan, 2.5]"
    assert str(store.last_rows(customer="A", n=2, prices=False).prices.tolist()) == "[nan, nan]"
    assert (rows.queries, store.last_rows(customer="nobody", n=4).products) == ({}, [])


def test_rows_tell_searches_and_events_without_a_product(store: Store) -> None:
    search = {"type": "search", "product": ""}
    store.append_events(
        [
            event("1", 1, session="s", query="blue socks", **search),
            event("2", 2, session="s", product="x\ty, 😀"),
            event("3", 3, session="s", query="", type="view_item_list", product=""),
            event("4", 4, customer="A", query="a,b", **search),
            event("5", 5, customer="A", type="rate", price=1 / 3),
        ]
    )
    both = store.last_rows(customer="A", session="s", n=9)
    assert both.products == ["", "x\ty, 😀", "", "", both.products[4]]
    assert both.queries == {0: "blue socks", 3: "a,b"}
    assert both.prices[4] == np.float32(1 / 3)
    assert store.last_rows(customer="A", session="s", n=2).queries == {0: "a,b"}
    assert store.last_rows(session="s", n=1).products == [""]
    assert store.last_rows(n=3).products == []


def test_a_duplicate_is_recorded_once(store: Store) -> None:
    first = event("1", customer="A")
    assert store.append_events([first, first]) == Appended(1, 1)
    assert store.append_events([event("1", 7, customer="B", session="s"), event("2", customer="A")]) == Appended(1, 1)
    assert store.last_events(customer="A", n=9)[0] == first
    counts = store.counts()
    assert (counts.events, counts.customers, counts.sessions) == (2, 1, 0)  # the duplicate signed nobody in


def test_sessions_are_stitched(store: Store) -> None:
    store.append_events([event("before", 1, session="s"), event("else", 1, session="t")])
    assert ids(store.last_events(session="s", n=9)) == ["before"]
    store.append_events([event("in", 2, session="s", customer="A")])
    store.append_events([event("after", 3, session="s"), event("own", 4, customer="A")])
    expected = ["before", "in", "after", "own"]
    assert ids(store.last_events(customer="A", n=9)) == expected
    assert ids(store.last_events(session="s", n=9)) == expected
    assert {one.customer for one in store.last_events(session="s", n=9)} == {"A"}
    (everything,) = store.event_frames()
    assert dict(everything.select("id", "customer").iter_rows()) == dict.fromkeys(expected, "A") | {"else": ""}
    assert ids(store.last_events(session="t", n=9)) == ["else"]
    assert store.counts().sessions == 2


def test_a_shared_session_goes_to_whoever_signs_in_next(store: Store) -> None:
    store.append_events(
        [event("1", 1, session="s"), event("2", 2, session="s", customer="A"), event("3", 3, session="s")]
    )
    store.append_events([event("4", 4, session="s", customer="B"), event("5", 5, session="s")])
    assert ids(store.last_events(customer="A", n=9)) == ["1", "2", "3"]
    assert ids(store.last_events(customer="B", n=9)) == ["4", "5"]
    assert ids(store.last_events(session="s", n=9)) == ["4", "5"]


def test_customer_and_session_together(store: Store) -> None:
    store.append_events([event("c", 1, customer="A"), event("s", 2, session="s"), event("c2", 3, customer="A")])
    assert ids(store.last_events(customer="A", session="s", n=9)) == ["c", "s", "c2"]
    assert ids(store.last_events(customer="A", session="s", n=2)) == ["s", "c2"]
    store.append_events([event("b", 4, customer="B", session="s")])
    assert ids(store.last_events(customer="A", session="s", n=9)) == ["c", "c2"]


def test_a_customer_named_like_a_session_is_somebody_else(store: Store) -> None:
    store.append_events([event("1", customer="sx"), event("2", session="x"), event("3", customer="x")])
    assert ids(store.last_events(customer="sx", n=9)) == ["1"]
    assert ids(store.last_events(session="x", n=9)) == ["2"]
    assert ids(store.last_events(customer="x", n=9)) == ["3"]


def test_frames_come_in_time_order_and_in_bounds(store: Store) -> None:
    store.append_events([event(str(i), (i * 37) % 50, customer=f"c{i % 3}") for i in range(100)])
    store.append_events([event("buy", 10, type="purchase", customer="A")])
    frames = list(store.event_frames(rows=7))
    assert all(one.schema == EVENT_COLUMNS and one.height <= 7 for one in frames)
    everything = pl.concat(frames)
    assert everything.height == 101
    assert everything["time"].is_sorted()
    assert everything.equals(pl.concat(store.event_frames()))
    assert everything.select("product", "time").equals(
        pl.concat(store.event_frames(columns=["product", "time"], rows=7))
    )
    assert everything.select("customer").equals(pl.concat(store.event_frames(columns=["customer"], rows=7)))
    (some,) = store.event_frames(since=START + timedelta(minutes=10), until=START + timedelta(minutes=12))
    assert some["time"].unique().to_list() == [to_micros(START + timedelta(minutes=m)) for m in (10, 11)]
    (bought,) = store.event_frames(types={Event(type="purchase", product="p", customer="c").type})
    assert bought["id"].to_list() == ["buy"]


def test_arrivals_can_be_followed(store: Store) -> None:
    store.append_events([event("1", 5, customer="A"), event("2", 1, session="s")])
    sequence, seen = store.events_since(0, 1)
    assert seen["id"].to_list() == ["1"]
    sequence, seen = store.events_since(sequence, 10)
    assert seen["id"].to_list() == ["2"]
    assert sequence == store.newest_sequence()
    assert store.events_since(sequence, 10)[0] == sequence
    store.append_events([event("3", customer="A")])
    assert store.events_since(sequence, 10)[1]["id"].to_list() == ["3"]


def test_an_import_equals_appending(store: Store) -> None:
    events = [
        event("1", 3, session="s"),
        event("2", 2, session="s", customer="A", price=1.25),
        event("3", 1, session="s"),
    ]
    events += [event("1", 9, customer="Z"), event("4", 0, customer='B "q", x', product="ü\n", quantity=2)]
    events += [event("5", 5, session="t"), event("6", 6, session="s", customer="B"), event("7", 7, session="s")]
    seen: list[tuple[int, int, str]] = []
    outcome = store.import_events([frame(*events[:2]), frame(*events[2:])], lambda *at: seen.append(at))
    assert outcome == Appended(7, 1)
    assert seen[0] == (2, 8, "reading")
    assert seen[-1] == (8, 8, "recorded")
    assert ids(store.last_events(customer="A", n=9)) == ["3", "2", "1"]
    assert ids(store.last_events(session="s", n=9)) == ["6", "7"]
    assert store.last_events(customer='B "q", x', n=9)[0].product == "ü"
    counts = store.counts()
    assert (counts.events, counts.customers, counts.sessions) == (7, 3, 2)
    more = frame(event("8", 8, session="t", customer="T"), event("7", 1, customer="A"), event("9", 9, session="s"))
    assert store.import_events([more]) == Appended(2, 1)
    assert ids(store.last_events(customer="T", n=9)) == ["5", "8"]
    assert ids(store.last_events(session="s", n=9)) == ["6", "7", "9"]
    assert store.import_events([]) == Appended(0, 0)


def test_a_failed_import_changes_nothing(store: Store) -> None:
    store.append_events([event("1", customer="A")])
    before = store.counts()
    broken = frame(event("3", customer="A")).with_columns(type=pl.lit("bought"))
    with pytest.raises(InvalidRecord, match="'bought' is none of view_item"):
        store.import_events([frame(event("2", customer="A")), broken])
    with pytest.raises(ZeroDivisionError):
        store.import_events(frame(event(str(1 // (1 - i)), customer="A")) for i in range(2))
    assert store.counts() == before
    assert store.import_events([frame(event("2", customer="A"))]) == Appended(1, 0)
    products = pl.DataFrame({name: [None] for name in PRODUCT_COLUMNS}, schema=PRODUCT_COLUMNS)
    with pytest.raises(InvalidRecord, match="id: '' is required"):
        store.import_products([products])
    assert store.product_revision() == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, "id: '' is required"),
        ({"time": None}, "time: None is missing"),
        ({"customer": ""}, "customer: '' is missing, and so is session"),
        ({"quantity": 0.0}, "quantity: 0.0 must be finite and above 0"),
        ({"price": float("nan")}, "price: nan must be finite"),
        ({"value": float("inf")}, "value: inf must be finite"),
        ({"product": "x" * 201}, "product: 'x+' is longer than 200"),
        ({"query": "a\x00b"}, "query: .* contains a NUL"),
        ({"time": "noon"}, "time: cannot be read as Int64"),
    ],
)
def test_import_checks_columns(store: Store, change: dict[str, Any], message: str) -> None:
    good = frame(event("1", customer="A"), event("2", customer="A"))
    bad = pl.concat(
        [good[:1], good[1:].with_columns(**{k: pl.lit(v) for k, v in change.items()})], how="vertical_relaxed"
    )
    with pytest.raises(InvalidRecord, match=message):
        store.import_events([bad])
    with pytest.raises(InvalidRecord, match="no such column"):
        store.import_events([good.drop("price")])
    with pytest.raises(InvalidRecord, match="extra: is an unknown column"):
        store.import_events([good.with_columns(extra=1)])


def test_products_can_be_followed(store: Store, url: str) -> None:
    full = Product(
        id="p1",
        title="Mug",
        description="A mug",
        brand="b",
        product_type="Home > Mugs",
        price=9.99,
        currency="EUR",
        availability=Availability.PREORDER,
        image_link="https://x/y.png",
        link="https://x",
        item_group_id="g",
        gtin="1",
        mpn="2",
        created=START,
        attributes={"size": 3.5, "colour": "blue", "new": True},
    )
    assert store.put_products([full, Product(id="p2"), Product(id="p2", title="Last one counts")]) == 2
    with open_store(url) as other:
        assert other.product("p1") == full
        revision, changes = other.product_changes(0)
        assert [change.id for change in changes] == ["p1", "p2"]
        assert changes[0].product == full
        first = store.product("p2")
        assert first is not None
        assert first.created is not None
        store.put_products([full, Product(id="p2", title="New title")])
        assert other.product_revision() > revision
        revision, changes = other.product_changes(revision)
        assert [change.id for change in changes] == ["p2"]  # p1 said nothing new
        assert changes[0].product is not None
        assert changes[0].product.created == first.created
        assert store.delete_product("p1")
        assert not store.delete_product("p1")
        assert not store.delete_product("nothing")
        revision, changes = other.product_changes(revision)
        assert [(change.id, change.product) for change in changes] == [("p1", None)]
        assert revision == other.product_revision()
    assert store.product("p1") is None
    assert store.products_frame()["id"].to_list() == ["p2"]
    assert store.counts().products == 1
    store.put_products([full])
    assert store.product("p1") == full
    assert store.counts().products == 2
    assert store.put_products([]) == 0


def test_products_are_imported(store: Store) -> None:
    store.put_products([Product(id="old", title="Old", created=START), Product(id="gone")])
    store.delete_product("gone")
    columns: dict[str, list[Any]] = {name: [None] * 4 for name in PRODUCT_COLUMNS}
    columns |= {"id": ["a", "old", "a", "gone"], "title": ["first", "Old", "second", "back"]}
    columns |= {"created": [None, None, to_micros(START), None], "price": [None, None, 2.5, None]}
    revision = store.product_revision()
    assert store.import_products([pl.DataFrame(columns, schema=PRODUCT_COLUMNS)]) == 3
    new = store.product("a")
    assert new is not None
    assert (new.title, new.price, new.created) == ("second", 2.5, START)
    changed = {change.id for change in store.product_changes(revision)[1]}
    assert changed == {"a", "gone"}  # "old" said nothing new and kept its time
    assert store.counts().products == 3


def test_side_tables(store: Store) -> None:
    assert store.tables() == []
    weeks = pl.DataFrame(
        {"week": [1, 2, None], "place": ["a", "", None], "price": [1.5, None, 2.0]},
        schema_overrides={"week": pl.Int16, "place": pl.Enum(["a", ""])},
    )
    assert store.put_table("weeks_2024", weeks) == 3
    assert store.put_table("empty", weeks.clear()) == 0
    assert store.tables() == ["empty", "weeks_2024"]
    assert store.table("weeks_2024").equals(weeks)
    assert store.table("weeks_2024").schema == weeks.schema
    assert store.table("weeks_2024", ["place"]).columns == ["place"]
    assert store.table("empty").schema == weeks.schema
    with pytest.raises(InvalidRecord, match="frames differ"):
        store.put_table("weeks_2024", [weeks, weeks.drop("week")])
    assert store.table("weeks_2024").equals(weeks)  # the failed one changed nothing
    assert store.put_table("weeks_2024", iter([weeks, weeks])) == 6
    assert store.table("weeks_2024").equals(pl.concat([weeks, weeks]))
    with pytest.raises(StoreError, match="there is no table 'other'; there are: empty, weeks_2024"):
        store.table("other")
    with pytest.raises(StoreError, match="no such column"):
        store.table("weeks_2024", ["moon"])
    for name in ("", "A", "a b", "../x", "1a", "x" * 64):
        with pytest.raises(InvalidRecord, match="small letters"):
            store.put_table(name, weeks)
    assert store.drop_table("empty")
    assert not store.drop_table("empty")


def test_campaigns(store: Store) -> None:
    spring = Campaign(id="1", title="Spring", start=START, end=START, customers=("A", "B"), products=("p",))
    assert store.put_campaigns([spring, Campaign(id="2")]) == 2
    assert store.campaigns() == [spring, Campaign(id="2")]
    store.put_campaigns([Campaign(id="2", title="Two")])
    assert store.campaigns()[1].title == "Two"


def test_forgetting(store: Store) -> None:
    store.append_events(
        [event("1", 1, session="s"), event("2", 2, session="s", customer="A"), event("3", customer="B")]
    )
    store.put_campaigns([Campaign(id="1", title="x", start=START, customers=("A", "B"))])
    assert store.forget("A") == 2
    assert store.last_events(customer="A", n=9) == []
    assert store.last_events(session="s", n=9) == []
    assert store.campaigns() == [Campaign(id="1", title="x", start=START, customers=("B",))]
    counts = store.counts()
    assert (counts.events, counts.customers, counts.sessions) == (1, 1, 0)
    assert store.forget("A") == 0
    store.append_events([event("4", session="s")])
    assert ids(store.last_events(session="s", n=9)) == ["4"]


def test_many_threads_and_stores_at_once(store: Store, url: str) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            with open_store(url) as mine:
                for step in range(20):
                    mine.append_events(
                        [event(f"{number}-{step}", step, customer=f"c{number}"), event(f"both{step}", customer="A")]
                    )
                    store.append_events([event(f"{number}/{step}", step, session=f"s{number}")])
                    assert len(mine.last_events(customer=f"c{number}", n=99)) == step + 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    counts = store.counts()
    assert (counts.events, counts.customers, counts.sessions) == (6 * 40 + 20, 7, 6)
    assert sum(one.height for one in store.event_frames()) == counts.events


@pytest.mark.parametrize("rows", [1, 2, 3, 50])
def test_every_customer_is_named_once(store: Store, rows: int) -> None:
    names = ["B", "a", "Ärger 😀", "c" * 200, "x x", "z_%"]
    assert list(store.customers()) == []
    visits = [(place, minute, name) for place, name in enumerate(names) for minute in range(3)]
    store.append_events([event(f"{place}-{minute}", minute, customer=name) for place, minute, name in visits])
    store.append_events([event("s", session="nobody")])
    assert sorted(store.customers(rows)) == sorted(names)
    store.forget("a")
    assert sorted(store.customers(rows)) == sorted(set(names) - {"a"})


def test_as_of_a_moment_nothing_later_is_read(store: Store) -> None:
    begun = datetime(2024, 5, 1, tzinfo=UTC)
    for day, (customer, session) in enumerate([("A", ""), ("", "s"), ("A", ""), ("", "s"), ("A", "")]):
        when = begun + timedelta(days=day)
        event = Event(type="view_item", customer=customer, session=session, product=f"p{day}", time=when)
        store.append_events([event])
    asked = {"n": 9, "until": begun + timedelta(days=2)}
    assert store.last_rows(customer="A", **asked).products == ["p0", "p2"]
    assert store.last_rows(session="s", **asked).products == ["p1"]
    assert store.last_rows(customer="A", session="s", **asked).products == ["p0", "p1", "p2"]
    assert store.last_rows(customer="A", n=1, until=begun + timedelta(days=3)).products == ["p2"]


def test_a_stamp_tells_of_every_commit(url: str) -> None:
    with open_store(url) as store, open_store(url) as other:
        before = store.stamp()
        assert store.stamp() == before
        if before is None:
            return  # PostgreSQL cannot say it cheaply
        for one in (other, store):
            one.put_products([Product(id="a", title="A")])
            after = store.stamp()
            assert after != before
            before = after
