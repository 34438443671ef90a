"""Events: what a row of the outbox says. Exchanges: what was asked of a language model."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("outbox", sa.Column("content", JSON))
    op.create_table(
        "exchanges",
        sa.Column("artifact_id", sa.String(36), sa.ForeignKey("artifacts.id"), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("artifact_id", "number"),
        sa.Index("ix_exchanges_organisation_id", "organisation_id"),
    )
