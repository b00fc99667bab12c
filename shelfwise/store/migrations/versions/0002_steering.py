"""What merchants steer search with: rules, synonyms, and the audit of both."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    sequence = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
    for name in ("rules", "synonyms"):
        op.create_table(
            name,
            sa.Column("id", sa.Text(), primary_key=True),
            sa.Column("record", sa.Text(), nullable=False),
        )
    op.create_table(
        "audit",
        sa.Column("number", sequence, primary_key=True, autoincrement=True),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("who", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("after", sa.Text(), nullable=False),
        sqlite_autoincrement=True,
    )
    op.execute("INSERT INTO tally (name, value) VALUES ('steering_revision', 0)")
