"""Questions of edges that a model or a person answers here."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.create_table(
        "oracle_questions",
        sa.Column("id", COUNTED, autoincrement=True, nullable=False),
        sa.Column("execution_id", sa.String(36), nullable=False),
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("input_json", sa.Text(), nullable=False),
        sa.Column("erased", sa.JSON(none_as_null=True), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=False),
        sa.Column("asked_at", MOMENT, nullable=False),
        sa.Column("model_attempts", sa.Integer(), nullable=False),
        sa.Column("output_json", sa.Text(), nullable=True),
        sa.Column("answered_by", sa.String(63), nullable=False),
        sa.Column("cost", sa.Double(), nullable=False),
        sa.Column("answered_at", MOMENT, nullable=True),
        sa.Column("delivered_at", MOMENT, nullable=True),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation_id", "execution_id"),
        sa.Index("ix_oracle_questions_organisation_id", "organisation_id"),
        sa.Index("ix_oracle_questions_task", "organisation_id", "task", "answered_at"),
        sa.Index("ix_oracle_questions_edge", "deployment_id", "delivered_at"),
    )
