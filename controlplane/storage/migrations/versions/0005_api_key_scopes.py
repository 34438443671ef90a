"""API keys: what each is good for, and when it was revoked; the keys there are may everything."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

VALID = sa.text("revoked_at IS NULL")


def upgrade() -> None:
    scope = sa.Column("scope", sa.String(16), nullable=False, server_default="admin")
    op.add_column("api_keys", scope)
    op.add_column("api_keys", sa.Column("revoked_at", sa.DateTime(timezone=True)))
    op.create_index(
        "one_valid_key_a_name",
        "api_keys",
        ["organisation_id", "name"],
        unique=True,
        sqlite_where=VALID,
        postgresql_where=VALID,
    )
