"""Erasures that edges asked for; what edges had to drop, by reason."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("edges", sa.Column("dropped", JSON, nullable=False, server_default="{}"))
    op.create_table(
        "erasures",
        sa.Column("erasure_id", sa.String(36), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("executions", sa.Integer(), nullable=False),
        sa.Column("erased", sa.Integer(), nullable=False),
        sa.Column("erased_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("erasure_id", "part"),
        sa.Index("ix_erasures_organisation_id", "organisation_id"),
    )
