"""The record's one seam: `open_store(url) -> Store`."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Self

import polars as pl
from sqlalchemy import select

from shelfwise.schema import (
    EVENT_COLUMNS,
    Campaign,
    Change,
    Event,
    EventType,
    Product,
    Rule,
    Synonym,
    from_micros,
    now,
    to_micros,
)
from shelfwise.store import bulk, events, products, side, steering
from shelfwise.store.accounts import AccountRecord
from shelfwise.store.campaigns import CampaignRecord
from shelfwise.store.campaigns import forget as forget_campaigns
from shelfwise.store.connection import Database, open_database
from shelfwise.store.events import Appended
from shelfwise.store.history import History, history
from shelfwise.store.products import ProductChange
from shelfwise.store.rows import Row, event_row
from shelfwise.store.tables import tally

Progress = bulk.Progress


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """What the record holds. customers: with an event under their name. sessions: signed in or not. first, last: the
    times of the oldest and the newest event, None without events."""

    products: int
    events: int
    customers: int
    sessions: int
    first: datetime | None
    last: datetime | None


def open_store(url: str, *, durable: bool = True) -> Store:
    """Open the record, made or migrated to the newest revision.

    url: `sqlite:///path/to/file` or `postgresql://user@host/database`. durable: a write that returned survives a power
    cut (fsync); without, it survives the process only. Raises StoreError; MissingDependency without psycopg.
    """
    return Store(open_database(url, durable=durable))


_RETIRED = "retired"  # side table: what a full feed retired last

_NONE = pl.DataFrame(schema=EVENT_COLUMNS)  # no events


class Store:
    """Products and events. Safe for many threads, and for many processes over one file or server.

    Every method raises StoreError when the database fails; a write that raised has changed nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def __repr__(self) -> str:
        return f"Store({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The address, without its password."""
        return self._database.engine.url.render_as_string(hide_password=True)

    def close(self) -> None:
        self._database.close()

    @property
    def accounts(self) -> AccountRecord:
        """Who may use the console."""
        return AccountRecord(self._database)

    @property
    def campaign_record(self) -> CampaignRecord:
        """Campaigns as planned, who was addressed, who took part, who may be addressed."""
        return CampaignRecord(self._database)

    def put_products(self, products_: Sequence[Product]) -> int:
        """Add the products or replace those of the same id; how many ids. `created` None keeps the time the product
        first came, or is now. A product that says nothing new is no change."""
        with self._database.write() as connection:
            return products.put(connection, products_)

    def delete_product(self, id: str) -> bool:
        """Whether there was such a product."""
        with self._database.write() as connection:
            return products.remove(connection, id)

    def product(self, id: str) -> Product | None:
        return self.products([id]).get(id)

    def products(self, ids: Iterable[str]) -> dict[str, Product]:
        """Those of these products that there are, by id, in the order asked: one read for all."""
        return products.some(self._database, ids)

    def products_frame(self, ids: Sequence[str] | None = None) -> pl.DataFrame:
        """PRODUCT_COLUMNS of every product that was not deleted, in the order they first came; of these alone, if
        given. As the merchant gave them: what shoppers see is `Offers`."""
        with self._database.read() as connection:
            return products.frame(connection, ids)

    def retire(self, ids: Sequence[str]) -> int:
        """Show these products no longer; how many were shown. They stay for their history, and `restore` undoes it."""
        with self._database.write() as connection:
            names = products.retire(connection, ids)
            frame = pl.DataFrame({"id": names, "time": [to_micros(now())] * len(names)})
            side.put_table(connection, _RETIRED, [frame.cast({"id": pl.String(), "time": pl.Int64()})])
        return len(names)

    def restore(self) -> int:
        """Show again what the last `retire` retired and is retired still; how many."""
        with self._database.write() as connection:
            if _RETIRED not in side.tables(connection):
                return 0
            names = side.table(connection, _RETIRED, ["id"])["id"].to_list()
            side.drop_table(connection, _RETIRED)
            return products.unretire(connection, names)

    def product_ids(self) -> list[str]:
        """Of every product that was not deleted, in the order they first came."""
        with self._database.read() as connection:
            return products.ids(connection)

    def product_changes(self, since: int) -> tuple[int, list[ProductChange]]:
        """The catalogue's revision, and each product that changed after the revision `since` as it now is."""
        with self._database.read() as connection:
            return products.changes(connection, since)

    def stamp(self) -> int | None:
        """Equal to an earlier one: nobody has written since. None where the database cannot say so."""
        return self._database.stamp()

    def product_revision(self) -> int:
        """Grows with each change of the catalogue, by whichever process: one read of one row."""
        return self._tally("product_revision")

    def _tally(self, name: str) -> int:
        mark = "?" if self._database.sqlite else "%s"
        return int(self._database.fetch(f"SELECT value FROM tally WHERE name = {mark}", (name,))[0][0])

    def check_writable(self) -> None:
        """Raises StoreError when nothing can be written now; waits while another process writes."""
        with self._database.write():
            pass

    def turn_sales(self, time: datetime) -> int:
        """Let every process see the products that have begun or ended by now, or whose sale has; how many. One indexed
        read, and nothing written, where none has."""
        micros = to_micros(time)
        edge = products.next_turn(self._database)
        if edge is None or edge > micros:
            return 0
        with self._database.write() as connection:
            return products.turn(connection, micros)

    def append_events(self, events_: Sequence[Event]) -> Appended:
        """Record events, durable on return. An event whose id is known already is counted, not recorded."""
        return self.append_batches([[event_row(event) for event in events_]])[0]

    def append_batches(self, batches: Sequence[Sequence[Row]]) -> list[Appended]:
        """Several callers' rows (`event_row`) in one transaction: EventWriter's way in. One outcome a batch."""
        with self._database.write() as connection:
            return events.append(connection, batches)

    def import_events(self, frames: Iterable[pl.DataFrame], progress: Progress | None = None) -> Appended:
        """Record frames of EVENT_COLUMNS in their order, all or nothing, in memory for one frame.

        Raises InvalidRecord for a value against the rules. The frames are staged first; the record itself is locked for
        other writers only for the last step.
        """
        return bulk.import_events(self._database, frames, progress)

    def import_products(self, frames: Iterable[pl.DataFrame], progress: Progress | None = None) -> int:
        """`put_products` of frames of PRODUCT_COLUMNS, all or nothing; how many ids."""
        return bulk.import_products(self._database, frames, progress)

    def last_events(self, *, customer: str = "", session: str = "", n: int) -> list[Event]:
        """The last n events by time, oldest first: one range of one index. `customer` is filled in by stitching.

        A customer's events include those of their sessions, a signed-in session's those of its customer. With both
        given: the customer's and, while no event has signed anyone in to it, the session's.
        """
        with self._database.read() as connection:
            return events.last_events(connection, customer, session, n)

    def last_rows(
        self,
        *,
        customer: str = "",
        session: str = "",
        n: int,
        prices: bool = True,
        until: datetime | None = None,
        low_rating: float = 2,
    ) -> History:
        """`last_events` in columns, for long histories: a fraction of the time, and less without `prices`.

        until: nothing later is read. low_rating: the most stars of a dislike."""
        end = None if until is None else to_micros(until)
        return history(self._database, customer, session, n, prices=prices, until=end, low=low_rating)

    def events_since(self, sequence: int, limit: int) -> tuple[int, pl.DataFrame]:
        """EVENT_COLUMNS of up to `limit` events in the order of arrival after `sequence` (0: all), and the sequence to
        go on from. Nothing that is committed later is ever skipped."""
        mark = "?" if self._database.sqlite else "%s"
        if not self._database.fetch(f"SELECT 1 FROM events WHERE sequence > {mark} LIMIT 1", (sequence,)):
            return sequence, _NONE
        with self._database.read() as connection:
            return events.since(connection, sequence, limit)

    def sign_ins(self) -> pl.DataFrame:
        """session, customer, time (microseconds): when each customer first signed in to each session. Until then nobody
        knew whose that session's events were. Reads every event."""
        with self._database.read() as connection:
            return events.sign_ins(connection)

    def newest_event(self) -> tuple[int, int]:
        """The newest event's sequence and how many events there are, both as of one moment."""
        with self._database.read() as connection:
            return events.newest(connection), events.tally_of(connection)

    def arrivals(self, sequence: int, limit: int) -> tuple[int, int, pl.DataFrame]:
        """As `events_since`, with how many events the record holds in all at that moment: fewer than came, and
        somebody was forgotten."""
        with self._database.read() as connection:
            arrived, frame = events.since(connection, sequence, limit)
            return arrived, events.tally_of(connection), frame

    def product_events(self, product: str) -> dict[EventType, tuple[int, datetime]]:
        """How many events of each type name the product, and when the newest was. Reads every event's index entry:
        a third of a second for two million."""
        with self._database.read() as connection:
            events_by_type = events.of_product(connection, product)
        return {EventType(kind): (count, from_micros(last)) for kind, (count, last) in events_by_type.items()}

    def recorded(self, ids: Iterable[str]) -> set[str]:
        """Which of these events' ids the record has."""
        with self._database.read() as connection:
            return events.recorded(connection, ids)

    def newest_sequence(self) -> int:
        """The sequence of the newest arrival, 0 without events: where `events_since` starts to follow."""
        return int(self._database.fetch("SELECT MAX(sequence) FROM events", ())[0][0] or 0)

    def sold(self, without: Collection[str] = (), *, products: Collection[str] | None = None) -> dict[str, float]:
        """Days on which a customer bought the product, by product id; its keenest customer counts one day: what one
        buyer takes in any number is no best seller. What was given back counts for nothing, nor what customers of
        `without` bought. products: of these alone."""
        with self._database.read() as connection:
            if products is None:
                return events.sold(connection, without)
            counts: dict[str, float] = {}
            for some in events.chunks(products, 500):
                counts |= events.sold(connection, without, some)
            return counts

    def event_frames(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        types: Collection[EventType] | None = None,
        columns: Collection[str] = tuple(EVENT_COLUMNS),
        rows: int = 1_000_000,
    ) -> Iterator[pl.DataFrame]:
        """EVENT_COLUMNS in time order (ties in the order of arrival), frames of at most `rows`, with `customer` filled
        in by stitching. since <= time < until. Leaves out what arrives after the first frame was asked for.

        columns: those of EVENT_COLUMNS that are needed; each costs as much time as another."""
        after = (-1 if since is None else to_micros(since) - 1, 2**62)
        end = None if until is None else to_micros(until)
        with self._database.read() as connection:
            newest = events.newest(connection)
        while True:
            with self._database.read() as connection:
                after, frame = events.page(connection, after, newest, end, types, rows, columns)
            if frame.height:
                yield frame
            if frame.height < rows:
                return

    def units_by_day(self) -> pl.DataFrame:
        """product, day (since 1970, UTC), quantity bought; ordered by product and day."""
        mark = "?" if self._database.sqlite else "%s"
        rows = self._database.fetch(
            "SELECT product, time / 86400000000, SUM(COALESCE(quantity, 1.0)) FROM events "
            f"WHERE type = {mark} AND product != '' GROUP BY 1, 2 ORDER BY 1, 2",
            (str(EventType.PURCHASE),),
        )
        schema = {"product": pl.String, "day": pl.Int64, "quantity": pl.Float64}
        return pl.DataFrame(rows, schema=schema, orient="row")

    def counts(self) -> Counts:
        """Some indexed reads, whatever the size of the record."""
        with self._database.read() as connection:
            totals = {str(n): int(v) for n, v in connection.execute(select(tally.c.name, tally.c.value))}
            first, last = events.span(connection)
        return Counts(
            products=totals["products"],
            events=totals["events"],
            customers=totals["customers"],
            sessions=totals["sessions"],
            first=None if first is None else from_micros(first),
            last=None if last is None else from_micros(last),
        )

    def customers(self, rows: int = 10_000) -> Iterator[str]:
        """Every customer's id, in the database's order, `rows` held at a time."""
        after = ""
        while True:
            with self._database.read() as connection:
                names = events.names(connection, after, rows)
            yield from names
            if len(names) < rows:
                return
            after = names[-1]

    def put_table(self, name: str, frame: pl.DataFrame | Iterable[pl.DataFrame]) -> int:
        """Keep a side table, replacing one of that name; its rows. Frames one by one are written one by one.
        Raises InvalidRecord for a name that is not small letters, digits and _."""
        with self._database.write() as connection:
            return side.put_table(connection, name, [frame] if isinstance(frame, pl.DataFrame) else frame)

    def table(self, name: str, columns: Sequence[str] | None = None) -> pl.DataFrame:
        """The side table, or only some of its columns. Raises StoreError when there is none."""
        with self._database.read() as connection:
            return side.table(connection, name, columns)

    def tables(self) -> list[str]:
        with self._database.read() as connection:
            return side.tables(connection)

    def drop_table(self, name: str) -> bool:
        """Whether there was such a side table."""
        with self._database.write() as connection:
            return side.drop_table(connection, name)

    def put_campaigns(self, campaigns: Sequence[Campaign]) -> int:
        """Add the campaigns or replace those of the same id; how many ids."""
        with self._database.write() as connection:
            return side.put_campaigns(connection, campaigns)

    def campaigns(self) -> list[Campaign]:
        """Ordered by id."""
        with self._database.read() as connection:
            return side.all_campaigns(connection)

    def rules(self) -> list[Rule]:
        """Merchants' rules, ordered by id."""
        with self._database.read() as connection:
            return steering.rules(connection)

    def put_rules(self, rules: Sequence[Rule], who: str) -> int:
        """Add the rules or replace those of the same id; how many ids. `who` goes into the audit. Raises InvalidRecord
        for more than 10,000 in all."""
        with self._database.write() as connection:
            return steering.put_rules(connection, rules, who)

    def delete_rule(self, id: str, who: str) -> bool:
        """Whether there was such a rule."""
        with self._database.write() as connection:
            return steering.delete_rule(connection, id, who)

    def synonyms(self) -> list[Synonym]:
        """Ordered by their words."""
        with self._database.read() as connection:
            return steering.synonyms(connection)

    def put_synonyms(self, synonyms: Sequence[Synonym], who: str) -> int:
        """Add synonyms; how many ids. `who` goes into the audit. Raises InvalidRecord for more than 50,000 in all."""
        with self._database.write() as connection:
            return steering.put_synonyms(connection, synonyms, who)

    def delete_synonym(self, id: str, who: str) -> bool:
        """Whether there were such synonyms."""
        with self._database.write() as connection:
            return steering.delete_synonym(connection, id, who)

    def steering_revision(self) -> int:
        """Grows with each change of a rule or synonym, by whichever process: one read of one row."""
        return self._tally("steering_revision")

    def audit(self, n: int = 100) -> list[Change]:
        """The newest n changes of rules and synonyms, newest first."""
        with self._database.read() as connection:
            return steering.changes(connection, n)

    def undo(self, number: int, who: str) -> Change:
        """Put back what was before this change of the audit; the change that did it, which can be undone too. Raises
        InvalidRecord when there is no such change or the record was changed since."""
        with self._database.write() as connection:
            return steering.undo(connection, number, who)

    def forget(self, customer: str) -> int:
        """Delete the customer's events, those of their sessions and those before sign-in included, their sessions and
        their name, also in campaigns; how many events. SQLite overwrites what it deletes. Side tables are left alone:
        their columns are the shop's."""
        with self._database.write() as connection:
            gone = events.forget(connection, customer)
            side.forget(connection, customer)
            forget_campaigns(connection, customer)
        self._database.empty_log()
        return gone
