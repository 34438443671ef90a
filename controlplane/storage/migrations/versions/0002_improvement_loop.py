"""The improvement loop: validations, reviews, improvements, rollouts, tickets."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)
COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
IMPROVEMENT_IS_OPEN = (
    "status IN ('triggered', 'analysing', 'generating', 'evaluating', 'rolling_out')"
)
ROLLOUT_IS_OPEN = "status IN ('running', 'paused')"
TICKET_IS_OPEN = "status = 'open'"


def upgrade() -> None:
    _widen_samples()
    _create_labels()
    _create_improvements()
    _create_rollouts()


def _one_open(name: str, condition: str) -> sa.Index:
    is_open = sa.text(condition)
    return sa.Index(name, "task_id", unique=True, sqlite_where=is_open, postgresql_where=is_open)


def _widen_samples() -> None:
    for column in (
        sa.Column("channel", sa.String(16), nullable=False, server_default=""),
        sa.Column("inclusion_probability", sa.Double(), nullable=False, server_default="0"),
        sa.Column("input_hash", sa.LargeBinary()),
        sa.Column("output_index", sa.Integer()),
        sa.Column("output_hash", sa.LargeBinary()),
        sa.Column("erased", JSON, nullable=False, server_default="[]"),
    ):
        op.add_column("execution_samples", column)


def _create_labels() -> None:
    op.create_table(
        "validations",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("validation_id", sa.String(36), nullable=False),
        sa.Column("execution_id", sa.String(36), nullable=False),
        sa.Column("oracle", sa.String(63), nullable=False),
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("inclusion_probability", sa.Double(), nullable=False),
        sa.Column("is_match", sa.Boolean(), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("oracle_output_json", sa.Text()),
        sa.Column("oracle_output_index", sa.Integer()),
        sa.Column("oracle_output_hash", sa.LargeBinary()),
        sa.Column("oracle_cost", sa.Double(), nullable=False),
        sa.Column("oracle_latency_ms", sa.Double(), nullable=False),
        sa.Column("similarity_score", sa.Double(), nullable=False),
        sa.Column("comparison_method", sa.String(16), nullable=False),
        sa.Column("validated_at", MOMENT, nullable=False),
        sa.Column("voided_at", MOMENT),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation_id", "execution_id", "oracle"),
        sa.Index("ix_validations_organisation_id", "organisation_id"),
        sa.Index("ix_validations_task_version", "organisation_id", "task", "version"),
    )
    op.create_table(
        "reviews",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("execution_id", sa.String(36), nullable=False),
        sa.Column("label_json", sa.Text(), nullable=False),
        sa.Column("reviewer", sa.String(63), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.Index("ix_reviews_execution_id", "execution_id"),
        sa.Index("ix_reviews_organisation_id", "organisation_id"),
        sa.Index("ix_reviews_task_id", "task_id"),
    )


def _create_improvements() -> None:
    op.create_table(
        "improvements",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer()),
        sa.Column("trigger", JSON, nullable=False),
        sa.Column("patterns", JSON, nullable=False),
        sa.Column("evaluation", JSON, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("history", JSON, nullable=False),
        sa.Column("labels_known", sa.Integer(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.Index("ix_improvements_organisation_id", "organisation_id"),
        sa.Index("ix_improvements_status", "status"),
        sa.Index("ix_improvements_task_id", "task_id"),
        _one_open("one_open_improvement_a_task", IMPROVEMENT_IS_OPEN),
    )
    op.create_table(
        "tickets",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column(
            "improvement_id", sa.String(36), sa.ForeignKey("improvements.id"), nullable=False
        ),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("content", JSON, nullable=False),
        sa.Column("note", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("resolved_at", MOMENT),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("improvement_id"),
        sa.Index("ix_tickets_organisation_id", "organisation_id"),
        sa.Index("ix_tickets_task_id", "task_id"),
        _one_open("one_open_ticket_a_task", TICKET_IS_OPEN),
    )


def _create_rollouts() -> None:
    op.create_table(
        "rollouts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("from_version", sa.Integer(), nullable=False),
        sa.Column("to_version", sa.Integer(), nullable=False),
        sa.Column("plan", JSON, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("improvement_id", sa.String(36), sa.ForeignKey("improvements.id")),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("finished_at", MOMENT),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("improvement_id"),
        sa.Index("ix_rollouts_organisation_id", "organisation_id"),
        sa.Index("ix_rollouts_task_id", "task_id"),
        _one_open("one_open_rollout_a_task", ROLLOUT_IS_OPEN),
    )
    op.create_table(
        "rollout_steps",
        sa.Column("decision_id", sa.String(36), nullable=False),
        sa.Column("rollout_id", sa.String(36), nullable=False),
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("phase", sa.String(16), nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("action", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("evidence_json", sa.Text(), nullable=False),
        sa.Column("decided_at", MOMENT, nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("decision_id"),
        sa.Index("ix_rollout_steps_organisation_id", "organisation_id"),
        sa.Index("ix_rollout_steps_rollout_id", "rollout_id"),
    )
    op.create_table(
        "rollout_commands",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("rollout_id", sa.String(36), sa.ForeignKey("rollouts.id"), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.Index("ix_rollout_commands_organisation_id", "organisation_id"),
        sa.Index("ix_rollout_commands_rollout_id", "rollout_id"),
    )
