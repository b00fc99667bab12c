"""Products on a connection. Each change takes the next revision, so that other processes can follow the catalogue."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl
from sqlalchemy import Connection, TextClause, or_, select, update

from shelfwise.schema import PRODUCT_COLUMNS, PRODUCT_TIMES, Product, now, to_micros
from shelfwise.store.connection import Database
from shelfwise.store.events import chunks, count_up
from shelfwise.store.rows import frame_of, product_of, product_row
from shelfwise.store.tables import conflict_insert, products, tally

_COLUMNS = [products.c[name] for name in PRODUCT_COLUMNS]
_NAMES = ", ".join(PRODUCT_COLUMNS)
_EDGES = [products.c[name] for name in PRODUCT_TIMES[1:]]
_CHUNK = 500


@dataclass(frozen=True, slots=True)
class ProductChange:
    """A product as it now is, or None when it was deleted."""

    id: str
    product: Product | None


def next_revision(connection: Connection) -> int:
    """Take the next revision. Its row stays locked until the commit, so revisions are committed in order."""
    counter = tally.c.name == "product_revision"
    connection.execute(update(tally).where(counter).values(value=tally.c.value + 1))
    return int(connection.execute(select(tally.c.value).where(counter)).scalar_one())


def revision(connection: Connection) -> int:
    return int(connection.execute(select(tally.c.value).where(tally.c.name == "product_revision")).scalar_one())


def replacing(connection: Connection, source: TextClause | None = None) -> Any:
    """`INSERT … ON CONFLICT DO UPDATE` of PRODUCT_COLUMNS, deleted, revision, from values or from a SELECT; a row that
    says nothing new is left alone."""
    statement = conflict_insert(connection, products)
    if source is not None:
        names = (*PRODUCT_COLUMNS, "deleted", "revision")
        statement = statement.from_select(names, source.columns(*(products.c[name] for name in names)))
    values = {name: statement.excluded[name] for name in (*PRODUCT_COLUMNS, "deleted", "revision") if name != "id"}
    differs = [products.c[name].is_distinct_from(value) for name, value in values.items() if name != "revision"]
    return statement.on_conflict_do_update(index_elements=[products.c.id], set_=values, where=or_(*differs))


def put(connection: Connection, given: Iterable[Product]) -> int:
    rows = {product.id: product_row(product) for product in given}  # the last of an id counts
    if not rows:
        return 0
    number = next_revision(connection)
    created: dict[str, int] = {}
    for chunk in chunks(rows, _CHUNK):
        query = select(products.c.id, products.c.created).where(products.c.id.in_(chunk), ~products.c.deleted)
        created.update((name, time) for name, time in connection.execute(query))
    arrived = to_micros(now())
    for name, row in rows.items():
        if row["created"] is None:
            row["created"] = created.get(name, arrived)
        row |= {"deleted": False, "revision": number}
    connection.execute(replacing(connection), list(rows.values()))
    count_up(connection, products=len(rows) - len(created))
    return len(rows)


def remove(connection: Connection, name: str) -> bool:
    number = next_revision(connection)
    empty: dict[str, Any] = {column: "" for column, kind in PRODUCT_COLUMNS.items() if kind == pl.String()}
    empty |= {"id": name, "price": None, "created": 0, "attributes": "{}", "availability": "out_of_stock"}
    empty |= {"status": "active", "sale_price": None} | dict.fromkeys(PRODUCT_TIMES[1:])
    statement = update(products).where(products.c.id == name, ~products.c.deleted)
    gone = connection.execute(statement.values(**empty, deleted=True, revision=number)).rowcount
    count_up(connection, products=-gone)
    return bool(gone)


def some(database: Database, names: Iterable[str]) -> dict[str, Product]:
    """Those there are, by id, in the order given. In the driver's own words: a page shows dozens, and making a
    statement of SQLAlchemy's takes longer than answering it."""
    names = list(dict.fromkeys(names))
    products: dict[str, Product] = {}
    for chunk in chunks(names, _CHUNK):
        marks = ", ".join("?" if database.sqlite else "%s" for _ in chunk)
        rows = database.fetch(f"SELECT {_NAMES} FROM products WHERE id IN ({marks}) AND NOT deleted", tuple(chunk))
        products.update((row[0], product_of(row)) for row in rows)
    return {name: products[name] for name in names if name in products}


def retire(connection: Connection, names: Iterable[str]) -> list[str]:
    """Those of these that were shown."""
    number = next_revision(connection)
    shown: list[str] = []
    for chunk in chunks(list(names), _CHUNK):
        here = products.c.id.in_(chunk) & (products.c.status == "active") & ~products.c.deleted
        shown += connection.execute(select(products.c.id).where(here)).scalars()
        connection.execute(update(products).where(here).values(status="retired", revision=number))
    return shown


def unretire(connection: Connection, names: Iterable[str]) -> int:
    number, back = next_revision(connection), 0
    for chunk in chunks(list(names), _CHUNK):
        here = products.c.id.in_(chunk) & (products.c.status == "retired") & ~products.c.deleted
        back += connection.execute(update(products).where(here).values(status="active", revision=number)).rowcount
    return back


def frame(connection: Connection, names: Sequence[str] | None = None) -> pl.DataFrame:
    if names is not None:
        rows: list[Any] = []
        for chunk in chunks(list(names), _CHUNK):
            query = select(*_COLUMNS).where(products.c.id.in_(chunk), ~products.c.deleted).order_by(products.c.sequence)
            rows += connection.execute(query).all()
        return frame_of(rows, PRODUCT_COLUMNS)
    query = select(*_COLUMNS).where(~products.c.deleted).order_by(products.c.sequence)
    with connection.execute(query, execution_options={"stream_results": True}) as result:
        pieces = [frame_of(rows, PRODUCT_COLUMNS) for rows in result.partitions(20_000)]
    return pl.concat(pieces) if pieces else frame_of([], PRODUCT_COLUMNS)


def ids(connection: Connection) -> list[str]:
    query = select(products.c.id).where(~products.c.deleted).order_by(products.c.sequence)
    return list(connection.execute(query).scalars())


def changes(connection: Connection, since: int) -> tuple[int, list[ProductChange]]:
    # The revision first: what is committed between the two reads is left for the next call.
    newest = revision(connection)
    query = select(*_COLUMNS, products.c.deleted).where(products.c.revision > since, products.c.revision <= newest)
    rows = connection.execute(query.order_by(products.c.revision, products.c.sequence))
    return newest, [ProductChange(row[0], None if row[-1] else product_of(row[:-1])) for row in rows]


def next_turn(database: Database) -> int | None:
    """When the next sale or product begins or ends, µs, after the moment up to which that was said; None for never."""
    after = "(SELECT value FROM tally WHERE name = 'sales_turned')"
    parts = (f"SELECT MIN({edge.name}) AS edge FROM products WHERE {edge.name} > {after}" for edge in _EDGES)
    edge = database.fetch(f"SELECT MIN(edge) FROM ({' UNION ALL '.join(parts)}) AS edges", ())[0][0]
    return None if edge is None else int(edge)


def turn(connection: Connection, time: int) -> int:
    """Give the products that began or ended, or whose sale did, since the last turn the next revision, so that all
    follow; how many."""
    counter = tally.c.name == "sales_turned"
    turned = int(connection.execute(select(tally.c.value).where(counter)).scalar_one())
    if turned >= time:
        return 0
    crossed = or_(*(edge.between(turned + 1, time) for edge in _EDGES))
    number = next_revision(connection)
    moved = connection.execute(update(products).where(crossed, ~products.c.deleted).values(revision=number)).rowcount
    connection.execute(update(tally).where(counter).values(value=time))
    return int(moved)
