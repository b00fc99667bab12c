"""A contact has the change expected of it."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.add_column("campaign_contacts", sa.Column("uplift", sa.Double(), nullable=True))
