"""Settings that people want of an edge, its privacy floor, and what the edge kept out."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    for name in ("settings", "settings_refused"):
        op.add_column("edges", sa.Column(name, JSON, nullable=False, server_default="{}"))
    floor = sa.Column("privacy_floor", sa.String(16), nullable=False, server_default="")
    op.add_column("edges", floor)
