"""The index of histories holds all that an answer reads of them."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.drop_index("events_actor", "events")
    columns = ["actor", "time", "sequence", "type", "product", "price", "quantity"]
    op.create_index("events_actor", "events", columns)
