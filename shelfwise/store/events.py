"""Events on a connection: append, stitch, read, forget.

Stitching. An event with both a customer and a session signs that session in. The session's events recorded
before, while nobody had signed in, become that customer's, and so do its later anonymous ones. When the session
is seen with another customer afterwards (a shared device), events that arrive from then on belong to the new
customer and the earlier ones stay: order of arrival decides, as it is all the record can vouch for. `events.actor`
holds the outcome, so that a customer's last events are one range of the index (actor, time, sequence).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeVar

import polars as pl
from sqlalchemy import Column, Connection, bindparam, case, delete, func, insert, select, tuple_, update

from shelfwise.schema import EVENT_COLUMNS, EventType
from shelfwise.store.returns import settle
from shelfwise.store.rows import Row, event_of, frame_of
from shelfwise.store.tables import customers, events, sessions, tally

CUSTOMER, SESSION = "c", "s"  # first letter of `events.actor`
_CHUNK = 500  # values in one IN (…)
_ROWS = 200  # rows of one INSERT
_PIECE = 50_000  # rows held as Python objects at a time while a frame is read
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Appended:
    """How many events were new, and how many were in the record already (same id)."""

    accepted: int
    duplicates: int


def chunks(values: Iterable[_Value], size: int) -> Iterator[list[_Value]]:
    everything = list(values)
    for start in range(0, len(everything), size):
        yield everything[start : start + size]


def known(connection: Connection, column: Column[Any], values: Collection[str]) -> set[str]:
    """Which of the values the column, a key, holds."""
    ids: set[str] = set()
    for chunk in chunks(values, _CHUNK):
        ids.update(connection.scalars(select(column).where(column.in_(chunk))))
    return ids


def count_up(connection: Connection, **by: int) -> None:
    for name, step in sorted(by.items()):
        if step:
            connection.execute(update(tally).where(tally.c.name == name).values(value=tally.c.value + step))


def lock(connection: Connection, name: str) -> None:
    """One transaction at a time past here (SQLite's is alone already): arrival order is commit order, so that nobody
    who follows `sequence` or `revision` misses one that was taken earlier and committed later."""
    if connection.dialect.name != "sqlite":
        connection.execute(select(tally.c.value).where(tally.c.name == name).with_for_update())


def append(connection: Connection, batches: Sequence[Sequence[Row]]) -> list[Appended]:
    """Record batches of rows (values of EVENT_COLUMNS) in a write transaction; one outcome a batch."""
    lock(connection, "events")
    taken = known(connection, events.c.id, {row[0] for rows in batches for row in rows})
    fresh: list[Row] = []
    outcomes = []
    for rows in batches:
        before = len(fresh)
        for row in rows:
            if row[0] not in taken:
                taken.add(row[0])
                fresh.append(row)
        accepted = len(fresh) - before
        outcomes.append(Appended(accepted, len(rows) - accepted))
    if fresh:
        _record(connection, fresh)
    return outcomes


def _record(connection: Connection, rows: list[Row]) -> None:
    links = _links(connection, {row[4] for row in rows if row[4]})
    unlinked = dict(links)
    changed: dict[str, str] = {}
    signed_in: dict[str, str] = {}  # sessions signed in for the first time -> customer
    resolved: list[Row] = []
    for row in rows:
        customer, session = row[3], row[4]
        if session:
            if customer:
                if links.get(session, "") != customer:
                    if links.get(session) == "":  # known, with nobody signed in: its rows change hands
                        signed_in[session] = customer
                    links[session] = changed[session] = customer
            elif session not in links:
                links[session] = changed[session] = ""
        owner = customer or links[session]
        resolved.append((*row, CUSTOMER + owner if owner else SESSION + session))
    _insert(connection, resolved)
    for session, customer in signed_in.items():
        connection.execute(update(events).where(events.c.actor == SESSION + session).values(actor=CUSTOMER + customer))
    new_sessions = [{"session": s, "customer": c} for s, c in changed.items() if s not in unlinked]
    moved = [{"s": s, "c": c} for s, c in changed.items() if s in unlinked]
    if new_sessions:
        connection.execute(insert(sessions), new_sessions)
    if moved:
        connection.execute(
            update(sessions).where(sessions.c.session == bindparam("s")).values(customer=bindparam("c")), moved
        )
    names = {row[3] for row in rows if row[3]}
    new_customers = sorted(names - known(connection, customers.c.customer, names))
    if new_customers:
        connection.execute(insert(customers), [{"customer": name} for name in new_customers])
    settle(connection, [(row[1], row[-1], row[10]) for row in resolved])
    count_up(connection, events=len(rows), sessions=len(new_sessions), customers=len(new_customers))


def _links(connection: Connection, names: set[str]) -> dict[str, str]:
    links: dict[str, str] = {}
    for chunk in chunks(names, _CHUNK):
        query = select(sessions.c.session, sessions.c.customer).where(sessions.c.session.in_(chunk))
        links.update((session, customer) for session, customer in connection.execute(query))
    return links


def _insert(connection: Connection, rows: list[Row]) -> None:
    # Few statements with many rows: the driver gives the interpreter's lock away at each statement, and to get it
    # back from a busy event loop takes longer than the statement.
    for chunk in chunks(rows, _ROWS):
        connection.exec_driver_sql(
            _insert_sql(_mark(connection), len(chunk)), tuple(value for row in chunk for value in row)
        )


def _mark(connection: Connection) -> str:
    return "?" if connection.dialect.name == "sqlite" else "%s"


@lru_cache(maxsize=2 * _ROWS)
def _insert_sql(mark: str, rows: int) -> str:
    names = (*EVENT_COLUMNS, "actor")
    row = f"({', '.join([mark] * len(names))})"
    return f"INSERT INTO events ({', '.join(names)}) VALUES {', '.join([row] * rows)}"


_ORDER = "ORDER BY time DESC, sequence DESC LIMIT"
_EVENT = "SELECT id, type, time, actor, session, product, quantity, price, value, query, request_id, sequence"


def recorded(connection: Connection, ids: Iterable[str]) -> set[str]:
    there: set[str] = set()
    for some in chunks(ids, _CHUNK):
        there.update(connection.scalars(select(events.c.id).where(events.c.id.in_(some))))
    return there


def last_events(connection: Connection, customer: str, session: str, n: int) -> list[Any]:
    rows = _last(connection, customer, session, n)
    answer = []
    for row in rows:
        actor = row[3]
        answer.append(event_of((*row[:3], actor[1:] if actor[0] == CUSTOMER else "", *row[4:])))
    return answer


def _last(connection: Connection, customer: str, session: str, n: int) -> list[Sequence[Any]]:
    """The last n rows, oldest first, of the customer, of the session, or of both."""
    mark = _mark(connection)
    sql = f"{_EVENT} FROM events WHERE actor = {mark} {_ORDER} {mark}"

    def read(sql: str, values: tuple[str | int, ...]) -> list[Sequence[Any]]:
        # Past SQLAlchemy's result, which would wrap each of a thousand rows.
        return list(connection.exec_driver_sql(sql, values).cursor.fetchall())

    rows: list[Sequence[Any]] = []
    if customer:
        rows += read(sql, (CUSTOMER + customer, n))
    if session:
        link = f"(SELECT customer FROM sessions WHERE session = {mark})"
        owner = f"coalesce('{CUSTOMER}' || nullif({link}, ''), {mark})"
        if not customer:
            sql = f"{_EVENT} FROM events WHERE actor = {owner} {_ORDER} {mark}"
            rows = read(sql, (session, SESSION + session, n))
        else:
            # Nobody has signed in to the session in an event yet, but who asks says whose it is. A session that
            # somebody signed in to has no rows of its own.
            rows += read(sql, (SESSION + session, n))
            rows.sort(key=lambda row: (row[2], row[11]), reverse=True)
            rows = rows[:n]
    rows.reverse()
    return rows


def of_product(connection: Connection, product: str) -> dict[str, tuple[int, int]]:
    """Type → (how many events, the newest one's time): a scan of one index."""
    query = (
        select(events.c.type, func.count(), func.max(events.c.time))
        .where(events.c.product == product)
        .group_by(events.c.type)
    )
    return {kind: (int(count), int(last)) for kind, count, last in connection.execute(query)}


_OWNER = case((events.c.actor.startswith(CUSTOMER), func.substr(events.c.actor, 2)), else_="")


def _columns(names: Iterable[str]) -> list[Any]:
    return [_OWNER.label(name) if name == "customer" else events.c[name] for name in names]


def since(connection: Connection, sequence: int, limit: int) -> tuple[int, pl.DataFrame]:
    query = select(*_columns(EVENT_COLUMNS), events.c.sequence).where(events.c.sequence > sequence)
    last, frame = _frame(connection, query.order_by(events.c.sequence).limit(limit), EVENT_COLUMNS)
    return last[-1] if last else sequence, frame


def tally_of(connection: Connection) -> int:
    """How many events the record holds: one read of one row."""
    return int(connection.scalar(select(tally.c.value).where(tally.c.name == "events")) or 0)


def page(
    connection: Connection,
    after: tuple[int, int],
    newest: int,
    until: int | None,
    types: Collection[EventType] | None,
    rows: int,
    columns: Collection[str],
) -> tuple[tuple[int, int], pl.DataFrame]:
    """The next rows in the order of (time, sequence) after `after`, and where they end."""
    query = select(*_columns(columns), events.c.time, events.c.sequence).where(
        tuple_(events.c.time, events.c.sequence) > after, events.c.sequence <= newest
    )
    if until is not None:
        query = query.where(events.c.time < until)
    if types is not None:
        query = query.where(events.c.type.in_([str(kind) for kind in types]))
    query = query.order_by(events.c.time, events.c.sequence).limit(rows)
    last, frame = _frame(connection, query, columns)
    return ((last[-2], last[-1]) if last else after), frame


def _frame(connection: Connection, query: Any, columns: Collection[str]) -> tuple[Sequence[Any], pl.DataFrame]:
    """The rows' first values by the names of `columns`, and the last row, () without any."""
    schema = {name: EVENT_COLUMNS[name] for name in columns}
    last: Sequence[Any] = ()
    pieces = []
    with connection.execute(query, execution_options={"stream_results": True}) as result:
        for rows in result.partitions(_PIECE):
            pieces.append(frame_of(rows, schema))
            last = rows[-1]
    return last, pl.concat(pieces) if pieces else frame_of([], schema)


def sign_ins(connection: Connection) -> pl.DataFrame:
    """session, customer, time (microseconds): when each customer first signed in to each session."""
    e = events.c
    query = (
        select(e.session, e.customer, func.min(e.time))
        .where(e.session != "", e.customer != "")
        .group_by(e.session, e.customer)
    )
    rows = [tuple(row) for row in connection.execute(query)]
    return pl.DataFrame(rows, schema={"session": pl.String, "customer": pl.String, "time": pl.Int64}, orient="row")


def names(connection: Connection, after: str, limit: int) -> list[str]:
    """The first customers after this one."""
    query = select(customers.c.customer).where(customers.c.customer > after).order_by(customers.c.customer)
    return list(connection.execute(query.limit(limit)).scalars())


def sold(connection: Connection, without: Collection[str], products: Collection[str] | None = None) -> dict[str, float]:
    """Days on which a customer bought the product, by product id; its keenest customer counts one day."""
    e = events.c
    day = e.time / 86_400_000_000 if connection.dialect.name == "sqlite" else func.div(e.time, 86_400_000_000)
    days = func.count(day.distinct()).label("days")
    others = e.actor.not_in([CUSTOMER + name for name in without])
    purchases = select(e.product, days).where(e.type == str(EventType.PURCHASE), others)
    if products is not None:
        purchases = purchases.where(e.product.in_(products))
    bought = purchases.group_by(e.product, e.actor).subquery()
    count = func.sum(bought.c.days) - func.max(bought.c.days) + 1
    return {
        name: float(value)
        for name, value in connection.execute(select(bought.c.product, count).group_by(bought.c.product))
    }


def newest(connection: Connection) -> int:
    return connection.scalar(select(func.max(events.c.sequence))) or 0


def span(connection: Connection) -> tuple[int | None, int | None]:
    """The first and the last event's time."""
    time = events.c.time
    first = connection.scalar(select(func.min(time)))
    return first, connection.scalar(select(func.max(time)))


def forget(connection: Connection, customer: str) -> int:
    """Delete the customer's events, sessions and name; the number of events."""
    lock(connection, "events")
    gone = connection.execute(delete(events).where(events.c.actor == CUSTOMER + customer)).rowcount
    links = connection.execute(delete(sessions).where(sessions.c.customer == customer)).rowcount
    names = connection.execute(delete(customers).where(customers.c.customer == customer)).rowcount
    count_up(connection, events=-gone, sessions=-links, customers=-names)
    return gone
