"""The record's tables, once. `migrations/` builds them; a test compares the two.

Times are microseconds since 1970 UTC. Missing text is "", a missing number NULL, as in schema.py.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    Double,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    false,
)
from sqlalchemy.dialects import sqlite

#: The newest migration: what `open_store` compares with, so that an up-to-date record needs no Alembic.
REVISION = "0008"
#: Marks a SQLite file as a Shelfwise record ("Shlf"), so that another program's file is never touched.
APPLICATION_ID = 0x53686C66

metadata = MetaData()
_SEQUENCE = BigInteger().with_variant(Integer, "sqlite")  # only INTEGER counts up by itself on SQLite

products = Table(
    "products",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("brand", Text, nullable=False),
    Column("product_type", Text, nullable=False),
    Column("price", Double),
    Column("currency", Text, nullable=False),
    Column("availability", Text, nullable=False),
    Column("image_link", Text, nullable=False),
    Column("link", Text, nullable=False),
    Column("item_group_id", Text, nullable=False),
    Column("gtin", Text, nullable=False),
    Column("mpn", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("attributes", Text, nullable=False),
    # A deleted product stays as an empty row, so that other processes learn of the deletion.
    Column("deleted", Boolean, nullable=False, server_default=false()),
    Column("revision", BigInteger, nullable=False),
    Column("status", Text, nullable=False, server_default="active"),
    Column("sale_price", Double),
    Column("sale_start", BigInteger),
    Column("sale_end", BigInteger),
    Column("shown_from", BigInteger),
    Column("shown_until", BigInteger),
    Index("products_id", "id", unique=True),
    Index("products_revision", "revision"),
    Index("products_sale_start", "sale_start"),
    Index("products_sale_end", "sale_end"),
    Index("products_shown_from", "shown_from"),
    Index("products_shown_until", "shown_until"),
    sqlite_autoincrement=True,
)

events = Table(
    "events",
    metadata,
    Column("sequence", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("customer", Text, nullable=False),  # as it came; whose event it is says `actor`
    Column("session", Text, nullable=False),
    Column("product", Text, nullable=False),
    Column("quantity", Double, nullable=False),
    Column("price", Double),
    Column("value", Double),
    Column("query", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    # "c" + customer, or "s" + session while nobody has signed in: resolved when written, rewritten when a
    # session is stitched, so that reading anyone's last events is one range of one index.
    Column("actor", Text, nullable=False),
    Index("events_id", "id", unique=True),
    # It holds all that an answer reads of a history.
    Index("events_actor", "actor", "time", "sequence", "type", "product", "price", "quantity"),
    Index("events_time", "time", "sequence"),
    sqlite_autoincrement=True,
)

customers = Table("customers", metadata, Column("customer", Text, primary_key=True), sqlite_with_rowid=False)

sessions = Table(
    "sessions",
    metadata,
    Column("session", Text, primary_key=True),
    Column("customer", Text, nullable=False),  # who signed in last; "" while nobody has
    Index("sessions_customer", "customer"),
    sqlite_with_rowid=False,
)

#: Running totals, one row each (see TALLIES), changed in the transaction that changes what they count.
tally = Table(
    "tally",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
TALLIES = ("events", "customers", "sessions", "products", "product_revision", "steering_revision", "sales_turned")

campaigns = Table(
    "campaigns",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("start", BigInteger),
    Column("end", BigInteger),
    Column("customers", Text, nullable=False),  # JSON lists of ids
    Column("products", Text, nullable=False),
)

#: Side tables: each is a row of `side_tables` and some Parquet pieces of at most a million rows.
side_tables = Table(
    "side_tables",
    metadata,
    Column("name", Text, primary_key=True),
    Column("rows", BigInteger, nullable=False),
)
side_table_parts = Table(
    "side_table_parts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("data", LargeBinary, nullable=False),
)

#: What merchants steer search with; every change is in `audit`, so that it can be traced and undone.
rules = Table(
    "rules",
    metadata,
    Column("id", Text, primary_key=True),
    Column("record", Text, nullable=False),  # JSON: few rows, always read whole
)
synonyms = Table(
    "synonyms",
    metadata,
    Column("id", Text, primary_key=True),
    Column("record", Text, nullable=False),
)
audit = Table(
    "audit",
    metadata,
    Column("number", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("time", BigInteger, nullable=False),
    Column("who", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("before", Text, nullable=False),
    Column("after", Text, nullable=False),
    sqlite_autoincrement=True,
)

#: Who may use the console. Passwords are argon2 hashes; sessions and links are kept as SHA-256 of the secret.
accounts = Table(
    "accounts",
    metadata,
    Column("name", Text, primary_key=True),
    Column("password", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
)
account_sessions = Table(
    "account_sessions",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("account", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Index("account_sessions_account", "account"),
)
account_links = Table(
    "account_links",
    metadata,
    Column("digest", Text, primary_key=True),
    Column("account", Text, nullable=False),  # whose password it sets; "" makes a new account
    Column("expires", BigInteger, nullable=False),
)
account_attempts = Table(
    "account_attempts",
    metadata,
    Column("number", _SEQUENCE, primary_key=True, autoincrement=True),
    Column("account", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Index("account_attempts_time", "time"),
    sqlite_autoincrement=True,
)

#: Campaigns as planned, JSON text; see plan/campaigns/draft.py.
campaign_plans = Table(
    "campaign_plans",
    metadata,
    Column("id", Text, primary_key=True),
    Column("record", Text, nullable=False),
)
#: arm: sent or held_out. products: JSON text. response: expected chance, uplift: its expected change, profit: expected
#: gain, where there were any.
campaign_contacts = Table(
    "campaign_contacts",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("customer", Text, primary_key=True),
    Column("arm", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("offer", Text, nullable=False),
    Column("products", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("response", Double, nullable=True),
    Column("profit", Double, nullable=True),
    Column("uplift", Double, nullable=True),
    Index("campaign_contacts_customer", "customer", "time"),
)
campaign_answers = Table(
    "campaign_answers",
    metadata,
    Column("campaign", Text, primary_key=True),
    Column("customer", Text, primary_key=True),
    Column("offer", Text, primary_key=True),
    Column("time", BigInteger, primary_key=True),
    Index("campaign_answers_customer", "customer"),
)
campaign_consents = Table(
    "campaign_consents",
    metadata,
    Column("customer", Text, primary_key=True),
    Column("allowed", Integer, nullable=False),
    Column("time", BigInteger, nullable=False),
)


def conflict_insert(connection: Connection, table: Table) -> Any:
    """The dialect's INSERT, which knows ON CONFLICT; only the one that is used is imported."""
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    from sqlalchemy.dialects import postgresql

    return postgresql.insert(table)
