"""Bulk import: frames are staged in a scratch table, then recorded in one transaction by a few set-based statements.

Staging costs a second write of each row and buys much: memory for one frame only, all or nothing, other writers locked
out for the last step alone, and one set of statements for SQLite and PostgreSQL that gives exactly what appending the
same events one by one would. SQLite stages in a file beside the record, PostgreSQL in a temporary table by COPY.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, Index, text
from sqlalchemy.schema import CreateIndex, DropIndex

from shelfwise.schema import EVENT_COLUMNS, PRODUCT_COLUMNS, now, to_micros
from shelfwise.store.connection import Database, driver_of
from shelfwise.store.events import CUSTOMER, SESSION, Appended, count_up, lock
from shelfwise.store.products import next_revision, replacing
from shelfwise.store.returns import settle_all
from shelfwise.store.rows import checked_events, checked_products
from shelfwise.store.tables import events

#: Called with (done, total or 0 when unknown, one-line status) while something long runs.
Progress = Callable[[int, int, str], None]

_ROWS = 50_000  # turned into Python objects at a time
_TYPES: dict[pl.DataType, str] = {pl.String(): "TEXT", pl.Int64(): "BIGINT", pl.Float64(): "DOUBLE PRECISION"}
_EVENTS = ", ".join(EVENT_COLUMNS)


class _Report:
    """Progress of a part whose number of rows is known only when the frames are a list."""

    def __init__(self, progress: Progress | None, frames: Iterable[pl.DataFrame]) -> None:
        self._progress = progress
        self._total = sum(frame.height for frame in frames) if isinstance(frames, list | tuple) else 0
        self.done = 0

    def staged(self, rows: int) -> None:
        self.done += rows
        self.say("reading")

    def say(self, status: str) -> None:
        if self._progress is not None:
            self._progress(self.done, self._total, status)


def import_events(database: Database, frames: Iterable[pl.DataFrame], progress: Progress | None) -> Appended:
    """See Store.import_events."""
    report = _Report(progress, frames)
    with database.connection() as connection, _staging(connection, EVENT_COLUMNS):
        for frame in frames:
            _stage(connection, checked_events(frame), report)
        if report.done == 0:
            return Appended(0, 0)
        report.say("recording")
        with database.turn(), connection.begin():
            return _record_events(connection, report)


def _record_events(connection: Connection, report: _Report) -> Appended:
    lock(connection, "events")
    was_empty = not connection.scalar(text("SELECT EXISTS (SELECT 1 FROM events)"))
    repeated = _find_repeated(connection, "SELECT id FROM events" if not was_empty else None)
    _find_sessions(connection)
    # Filling an empty table, it is far quicker to sort each index once at the end than to keep it all along.
    indexes = [index for index in events.indexes if was_empty]
    indexes.sort(key=lambda index: str(index.name))
    for index in indexes:
        connection.execute(DropIndex(index))
    _analyze(connection, "repeated", "arrived", "signins")
    connection.execute(text(_INSERT_EVENTS))
    report.say("indexing")
    _restore(connection, indexes)
    signed_in = connection.execute(text(_SIGNED_IN)).all()
    if signed_in:
        sql = text("UPDATE events SET actor = :to WHERE actor = :was")
        connection.execute(
            sql, [{"was": SESSION + session, "to": CUSTOMER + customer} for session, customer in signed_in]
        )
    arrived = connection.scalar(text(_NEW_SESSIONS)) or 0
    connection.execute(text(_PUT_SESSIONS))
    customers = connection.execute(text(_PUT_CUSTOMERS)).rowcount
    settle_all(connection)
    accepted = report.done - repeated
    count_up(connection, events=accepted, sessions=arrived, customers=customers)
    report.say("recorded")
    return Appended(accepted, repeated)


def _restore(connection: Connection, indexes: list[Index]) -> None:
    for index in indexes:
        connection.execute(CreateIndex(index))


def _find_repeated(connection: Connection, recorded: str | None) -> int:
    """Note in `repeated` every row but the first of its id, and those whose id is recorded already; how many."""
    _index_incoming(connection)
    connection.execute(
        text(
            "INSERT INTO repeated SELECT place FROM (SELECT place, row_number() OVER (PARTITION BY id ORDER BY "
            "place) AS nth FROM incoming) AS numbered WHERE nth > 1"
        )
    )
    if recorded is not None:
        connection.execute(
            text(
                f"INSERT INTO repeated SELECT place FROM incoming WHERE id IN ({recorded}) "
                "ON CONFLICT (place) DO NOTHING"
            )
        )
    return int(connection.scalar(text("SELECT count(*) FROM repeated")) or 0)


_NEW = "NOT EXISTS (SELECT 1 FROM repeated WHERE repeated.place = incoming.place)"


def _find_sessions(connection: Connection) -> None:
    """Note each session's first and last sign-in, and every sign-in of sessions that are anonymous in between."""
    connection.execute(
        text(
            "INSERT INTO arrived SELECT session, min(CASE WHEN customer <> '' THEN place END), "
            "max(CASE WHEN customer <> '' THEN place END), "
            "max(CASE WHEN customer = '' THEN 1 ELSE 0 END) "
            f"FROM incoming WHERE session <> '' AND {_NEW} GROUP BY session"
        )
    )
    connection.execute(
        text(
            "INSERT INTO signins SELECT incoming.session, place, customer FROM incoming JOIN arrived "
            f"ON arrived.session = incoming.session AND anonymous = 1 WHERE customer <> '' AND {_NEW}"
        )
    )


# Whose an event is: of whom it names; else of who signed in to its session last before it, in the import or in the
# record; else of who signs in next; else of the session.
_BEFORE = "SELECT s.customer FROM signins s WHERE s.session = incoming.session AND s.place < incoming.place"
_AFTER = "SELECT s.customer FROM signins s WHERE s.session = incoming.session AND s.place > incoming.place"
_LINK = "SELECT nullif(l.customer, '') FROM sessions l WHERE l.session = incoming.session"
_INSERT_EVENTS = f"""
    INSERT INTO events ({_EVENTS}, actor)
    SELECT {_EVENTS}, CASE WHEN customer <> '' THEN 'c' || customer ELSE coalesce(
        'c' || ({_BEFORE} ORDER BY s.place DESC LIMIT 1), 'c' || ({_LINK}),
        'c' || ({_AFTER} ORDER BY s.place LIMIT 1), 's' || session) END
    FROM incoming WHERE {_NEW} ORDER BY place
"""
_SIGNED_IN = """
    SELECT arrived.session, incoming.customer FROM arrived
    JOIN sessions ON sessions.session = arrived.session AND sessions.customer = ''
    JOIN incoming ON incoming.place = arrived.first_in
"""
_NEW_SESSIONS = """
    SELECT count(*) FROM arrived WHERE NOT EXISTS (SELECT 1 FROM sessions WHERE sessions.session = arrived.session)
"""
_PUT_SESSIONS = """
    INSERT INTO sessions (session, customer) SELECT arrived.session, coalesce(incoming.customer, '')
    FROM arrived LEFT JOIN incoming ON incoming.place = arrived.last_in WHERE true ORDER BY arrived.session
    ON CONFLICT (session) DO UPDATE SET customer = excluded.customer WHERE excluded.customer <> ''
"""
_PUT_CUSTOMERS = f"""
    INSERT INTO customers (customer) SELECT DISTINCT customer FROM incoming WHERE customer <> '' AND {_NEW}
    ORDER BY customer ON CONFLICT (customer) DO NOTHING
"""


def import_products(database: Database, frames: Iterable[pl.DataFrame], progress: Progress | None) -> int:
    """See Store.import_products."""
    report = _Report(progress, frames)
    with database.connection() as connection, _staging(connection, PRODUCT_COLUMNS):
        for frame in frames:
            _stage(connection, checked_products(frame), report)
        if report.done == 0:
            return 0
        report.say("recording")
        with database.turn(), connection.begin():
            revision = next_revision(connection)
            _index_incoming(connection)
            live = "SELECT p.created FROM products p WHERE p.id = incoming.id AND NOT p.deleted"
            connection.execute(
                text(f"UPDATE incoming SET created = coalesce(({live}), :now) WHERE created IS NULL"),
                {"now": to_micros(now())},
            )
            last = "place IN (SELECT max(place) FROM incoming GROUP BY id)"
            fresh = f"SELECT count(*) FROM incoming WHERE {last} AND NOT EXISTS ({live})"
            added = int(connection.scalar(text(fresh)) or 0)
            columns = ", ".join(PRODUCT_COLUMNS)
            source = text(f"SELECT {columns}, false, :revision FROM incoming WHERE {last} ORDER BY place")
            stored = connection.scalar(text(f"SELECT count(*) FROM incoming WHERE {last}"))
            connection.execute(replacing(connection, source), {"revision": revision})
            count_up(connection, products=added)
            report.say("recorded")
            return int(stored or 0)


def _index_incoming(connection: Connection) -> None:
    where = f"{_SCHEMA}." if connection.dialect.name == "sqlite" else ""
    connection.execute(text(f"CREATE INDEX {where}incoming_id ON incoming (id, place)"))
    _analyze(connection, "incoming")


def _analyze(connection: Connection, *tables: str) -> None:
    """PostgreSQL knows nothing of a temporary table's size until it is told to look."""
    if connection.dialect.name != "sqlite":
        for table in tables:
            connection.execute(text(f"ANALYZE {table}"))


_SCHEMA = "staged"


@contextmanager
def _staging(connection: Connection, columns: dict[str, pl.DataType]) -> Iterator[None]:
    """Empty scratch tables of this connection alone, gone afterwards: incoming (place: 1, 2, …; columns), repeated,
    arrived, signins."""
    declared = ", ".join(f"{name} {_TYPES[kind]}" for name, kind in columns.items())
    counting = "INTEGER" if connection.dialect.name == "sqlite" else "BIGSERIAL"
    tables = {
        "incoming": f"place {counting} PRIMARY KEY, {declared}",
        "repeated": "place INTEGER PRIMARY KEY",
        "arrived": "session TEXT PRIMARY KEY, first_in BIGINT, last_in BIGINT, anonymous BIGINT",
        "signins": "session TEXT, place BIGINT, customer TEXT, PRIMARY KEY (session, place)",
    }
    driver = driver_of(connection)
    if connection.dialect.name != "sqlite":
        for name, columns_ in tables.items():
            driver.execute(f"CREATE TEMPORARY TABLE {name} ({columns_}) ON COMMIT DROP")
        yield
        return
    connection.detach()  # from the pool: closed at the end, and with it the scratch file
    beside = Path(str(connection.engine.url.database)).absolute().parent
    handle, path = tempfile.mkstemp(prefix=".shelfwise-import-", dir=beside)
    os.close(handle)
    try:
        driver.execute(f"ATTACH ? AS {_SCHEMA}", (path,))
        driver.execute(f"PRAGMA {_SCHEMA}.journal_mode = MEMORY")
        driver.execute(f"PRAGMA {_SCHEMA}.synchronous = OFF")
        for name, columns_ in tables.items():
            driver.execute(f"CREATE TABLE {_SCHEMA}.{name} ({columns_})")
        with suppress(OSError):  # an open file may lose its name already, so that a kill leaves nothing behind
            Path(path).unlink()
        yield
    finally:
        with suppress(OSError):
            Path(path).unlink()


def _stage(connection: Connection, frame: pl.DataFrame, report: _Report) -> None:
    names = ", ".join(frame.columns)
    driver = driver_of(connection)
    for piece in frame.iter_slices(_ROWS):
        if connection.dialect.name == "sqlite":
            marks = ", ".join("?" * frame.width)
            driver.execute("BEGIN")
            columns: list[list[Any]] = [series.to_list() for series in piece]
            sql = f"INSERT INTO {_SCHEMA}.incoming ({names}) VALUES ({marks})"
            driver.executemany(sql, zip(*columns, strict=True))
            driver.execute("COMMIT")
        else:
            # Quoted text and unquoted numbers: an empty text stays one, an absent number becomes NULL.
            with driver.cursor().copy(f"COPY incoming ({names}) FROM STDIN (FORMAT csv)") as copy:
                copy.write(piece.write_csv(include_header=False, quote_style="non_numeric").encode())
        report.staged(piece.height)
