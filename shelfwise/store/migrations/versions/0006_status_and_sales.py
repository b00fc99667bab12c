"""Products have a status and a sale price with its window."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.add_column("products", sa.Column("status", sa.Text(), nullable=False, server_default="active"))
    op.add_column("products", sa.Column("sale_price", sa.Double()))
    op.add_column("products", sa.Column("sale_start", sa.BigInteger()))
    op.add_column("products", sa.Column("sale_end", sa.BigInteger()))
    op.create_index("products_sale_start", "products", ["sale_start"])
    op.create_index("products_sale_end", "products", ["sale_end"])
    op.execute("INSERT INTO tally (name, value) VALUES ('sales_turned', 0)")
