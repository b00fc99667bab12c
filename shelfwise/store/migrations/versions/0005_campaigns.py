"""Campaigns as planned, who was addressed or held out, who took part, who may be addressed."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "campaign_plans",
        sa.Column("id", sa.Text(), primary_key=True),
        sa.Column("record", sa.Text(), nullable=False),
    )
    op.create_table(
        "campaign_contacts",
        sa.Column("campaign", sa.Text(), primary_key=True),
        sa.Column("customer", sa.Text(), primary_key=True),
        sa.Column("arm", sa.Text(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
        sa.Column("offer", sa.Text(), nullable=False),
        sa.Column("products", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("response", sa.Double(), nullable=True),
        sa.Column("profit", sa.Double(), nullable=True),
    )
    op.create_index("campaign_contacts_customer", "campaign_contacts", ["customer", "time"])
    op.create_table(
        "campaign_answers",
        sa.Column("campaign", sa.Text(), primary_key=True),
        sa.Column("customer", sa.Text(), primary_key=True),
        sa.Column("offer", sa.Text(), primary_key=True),
        sa.Column("time", sa.BigInteger(), primary_key=True),
    )
    op.create_index("campaign_answers_customer", "campaign_answers", ["customer"])
    op.create_table(
        "campaign_consents",
        sa.Column("customer", sa.Text(), primary_key=True),
        sa.Column("allowed", sa.Integer(), nullable=False),
        sa.Column("time", sa.BigInteger(), nullable=False),
    )
