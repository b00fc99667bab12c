"""Campaigns and side tables on a connection.

A side table (promotions, demographics, …) is kept inside the record's database as Parquet pieces (zstd) of a million
rows: changed and backed up with everything else, the same for SQLite and PostgreSQL, and some bytes a row.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Sequence

import polars as pl
from sqlalchemy import Connection, delete, insert, select, update

from shelfwise.errors import InvalidRecord, StoreError
from shelfwise.schema import Campaign
from shelfwise.store.rows import campaign_of, campaign_row
from shelfwise.store.tables import campaigns, conflict_insert, side_table_parts, side_tables

_ROWS = 1_000_000  # of a piece
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")


def put_table(connection: Connection, name: str, frames: Iterable[pl.DataFrame]) -> int:
    """Replace the table by the frames, one after the other; its rows."""
    check_name(name)
    _drop(connection, name)
    connection.execute(insert(side_tables).values(name=name, rows=0))
    part = rows = 0
    schema: dict[str, pl.DataType] | None = None
    for frame in frames:
        if schema is None:
            schema = dict(frame.schema)
        elif dict(frame.schema) != schema:
            raise InvalidRecord(name, f"its frames differ: {schema}, then {dict(frame.schema)}")
        for start in range(0, max(frame.height, 1), _ROWS):
            piece = frame.slice(start, _ROWS)
            if piece.height == 0 and part > 0:
                continue
            data = _packed(name, piece)
            connection.execute(insert(side_table_parts).values(name=name, part=part, data=data))
            part, rows = part + 1, rows + piece.height
    if schema is None:
        raise InvalidRecord(name, "has no frame, so no columns; give at least one, even without rows")
    connection.execute(update(side_tables).where(side_tables.c.name == name).values(rows=rows))
    return rows


def check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        raise InvalidRecord("name", f"is {name!r}; use up to 63 small letters, digits and _, a letter first")


def _packed(name: str, frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    try:
        frame.write_parquet(buffer, compression="zstd")
    except pl.exceptions.PolarsError as error:
        raise InvalidRecord(name, f"cannot be kept as Parquet: {error}") from None
    return buffer.getvalue()


def table(connection: Connection, name: str, columns: Sequence[str] | None) -> pl.DataFrame:
    query = select(side_table_parts.c.data).where(side_table_parts.c.name == name).order_by(side_table_parts.c.part)
    wanted = None if columns is None else list(columns)
    options = {"stream_results": True, "max_row_buffer": 4}
    try:
        with connection.execute(query, execution_options=options) as result:
            pieces = [pl.read_parquet(io.BytesIO(data), columns=wanted) for (data,) in result]
    except pl.exceptions.ColumnNotFoundError as error:
        raise StoreError(f"the table {name!r} has no such column: {str(error).splitlines()[0]}") from None
    if not pieces:
        raise StoreError(f"there is no table {name!r}; there are: {', '.join(tables(connection)) or 'none'}")
    return pl.concat(pieces, rechunk=False)


def tables(connection: Connection) -> list[str]:
    return list(connection.scalars(select(side_tables.c.name).order_by(side_tables.c.name)))


def drop_table(connection: Connection, name: str) -> bool:
    return _drop(connection, name)


def _drop(connection: Connection, name: str) -> bool:
    connection.execute(delete(side_table_parts).where(side_table_parts.c.name == name))
    return bool(connection.execute(delete(side_tables).where(side_tables.c.name == name)).rowcount)


def put_campaigns(connection: Connection, given: Iterable[Campaign]) -> int:
    rows = {campaign.id: campaign_row(campaign) for campaign in given}
    if not rows:
        return 0
    statement = conflict_insert(connection, campaigns)
    values = {column.name: statement.excluded[column.name] for column in campaigns.c if column.name != "id"}
    statement = statement.on_conflict_do_update(index_elements=[campaigns.c.id], set_=values)
    connection.execute(statement, list(rows.values()))
    return len(rows)


def all_campaigns(connection: Connection) -> list[Campaign]:
    return [campaign_of(row) for row in connection.execute(select(campaigns).order_by(campaigns.c.id))]


def forget(connection: Connection, customer: str) -> None:
    """Take the customer off every campaign's list."""
    listed = [one for one in all_campaigns(connection) if customer in one.customers]
    for one in listed:
        left = [name for name in one.customers if name != customer]
        row = campaign_row(one) | {"customers": campaign_row(Campaign(id=one.id, customers=tuple(left)))["customers"]}
        connection.execute(update(campaigns).where(campaigns.c.id == one.id).values(**row))
