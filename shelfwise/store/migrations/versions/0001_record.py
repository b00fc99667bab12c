"""The record as it first was: products, events with their customers and sessions, campaigns, side tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_APPLICATION_ID = 0x53686C66


def upgrade() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    op.create_table(
        "products",
        sa.Column("sequence", sequence, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("brand", sa.Text(), nullable=False),
        sa.Column("product_type", sa.Text(), nullable=False),
        sa.Column("price", sa.Double()),
        sa.Column("currency", sa.Text(), nullable=False),
        sa.Column("availability", sa.Text(), nullable=False),
        sa.Column("image_link", sa.Text(), nullable=False),
        sa.Column("link", sa.Text(), nullable=False),
        sa.Column("item_group_id", sa.Text(), nullable=False),
        sa.Column("gtin", sa.Text(), nullable=False),
        sa.Column("mpn", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("attributes", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False, server_default=sa.false()),
        sa.Column("revision", sa.BigInteger(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("products_id", "products", ["id"], unique=True)
    op.create_index("products_revision", "products", ["revision"])

    op.create_table(
        "events",
        sa.Column("sequence", sequence, primary_key=True, autoincrement=True),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("customer", sa.Text(), nullable=False),
        sa.Column("session", sa.Text(), nullable=False),
        sa.Column("product", sa.Text(), nullable=False),
        sa.Column("quantity", sa.Double(), nullable=False),
        sa.Column("price", sa.Double()),
        sa.Column("value", sa.Double()),
        sa.Column("query", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("actor", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("events_id", "events", ["id"], unique=True)
    op.create_index("events_actor", "events", ["actor", "time", "sequence"])
    op.create_index("events_time", "events", ["time", "sequence"])

    op.create_table("customers", sa.Column("customer", sa.Text(), primary_key=True), sqlite_with_rowid=False)
    op.create_table(
        "sessions",
        sa.Column("session", sa.Text(), primary_key=True),
        sa.Column("customer", sa.Text(), nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_index("sessions_customer", "sessions", ["customer"])

    tally = op.create_table(
        "tally",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sqlite_with_rowid=False,
    )
    names = ("events", "customers", "sessions", "products", "product_revision")
    op.bulk_insert(tally, [{"name": name, "value": 0} for name in names])

    op.create_table(
        "campaigns",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("start", sa.BigInteger()),
        sa.Column("end", sa.BigInteger()),
        sa.Column("customers", sa.Text(), nullable=False),
        sa.Column("products", sa.Text(), nullable=False),
    )
    op.create_table(
        "side_tables",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("rows", sa.BigInteger(), nullable=False),
    )
    op.create_table(
        "side_table_parts",
        sa.Column("name", sa.Text(), primary_key=True),
        sa.Column("part", sa.Integer(), primary_key=True, autoincrement=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
    )
    if op.get_bind().dialect.name == "sqlite":
        op.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
