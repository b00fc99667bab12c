"""Products are shown from a time on, and until one."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    for name in ("shown_from", "shown_until"):
        op.add_column("products", sa.Column(name, sa.BigInteger()))
        op.create_index(f"products_{name}", "products", [name])
