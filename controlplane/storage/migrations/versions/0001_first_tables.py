"""First tables: keys, tasks, versions, generations, fleet, telemetry, outbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

MOMENT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)
COUNTED = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
ACTIVE = sa.text("status = 'active'")


def upgrade() -> None:
    op.create_table(
        "api_keys",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("hmac", sa.String(64), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("hmac"),
        sa.Index("ix_api_keys_organisation_id", "organisation_id"),
    )
    op.create_table(
        "edges",
        sa.Column("deployment_id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("edge_version", sa.String(63), nullable=False),
        sa.Column("enrolled_at", MOMENT, nullable=False),
        sa.Column("last_seen_at", MOMENT),
        sa.Column("log_id", sa.String(63), nullable=False),
        sa.Column("privacy_mode", sa.String(16), nullable=False),
        sa.Column("applied_sequence", sa.BigInteger(), nullable=False),
        sa.Column("batches_pending", sa.BigInteger(), nullable=False),
        sa.Column("problems", JSON, nullable=False),
        sa.Column("refused", sa.Text(), nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("deployment_id"),
        sa.Index("ix_edges_organisation_id", "organisation_id"),
    )
    op.create_table(
        "fleet_sequences",
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("organisation_id"),
    )
    op.create_table(
        "outbox",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("topic", sa.String(31), nullable=False),
        sa.Column("subject", sa.String(63), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.Index("ix_outbox_created_at", "created_at"),
        sa.Index("ix_outbox_organisation_id", "organisation_id"),
    )
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("inferred_input_schema", JSON),
        sa.Column("inferred_output_schema", JSON),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("organisation_id", "name"),
        sa.Index("ix_tasks_organisation_id", "organisation_id"),
    )
    op.create_table(
        "edge_tasks",
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("serving_version", sa.Integer(), nullable=False),
        sa.Column("target_version", sa.Integer(), nullable=False),
        sa.Column("stage", sa.Integer(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("updated_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "task"),
        sa.Index("ix_edge_tasks_organisation_id", "organisation_id"),
    )
    op.create_table(
        "examples",
        sa.Column("id", COUNTED, nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("input_json", sa.Text(), nullable=False),
        sa.Column("output_json", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("task_id", "digest"),
        sa.Index("ix_examples_organisation_id", "organisation_id"),
    )
    op.create_table(
        "execution_samples",
        sa.Column("execution_id", sa.String(36), nullable=False),
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.Column("outcome", sa.String(16), nullable=False),
        sa.Column("latency_ms", sa.Double(), nullable=False),
        sa.Column("confidence", sa.Double()),
        sa.Column("input_json", sa.Text()),
        sa.Column("output_json", sa.Text()),
        sa.Column("executed_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("execution_id"),
        sa.Index("ix_execution_samples_organisation_id", "organisation_id"),
        sa.Index("ix_execution_samples_task", "task"),
    )
    op.create_table(
        "generations",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("progress", sa.Double(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("strategies", JSON, nullable=False),
        sa.Column("activate", sa.Boolean(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("started_at", MOMENT),
        sa.Column("finished_at", MOMENT),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.Index("ix_generations_organisation_id", "organisation_id"),
        sa.Index("ix_generations_status", "status"),
        sa.Index("ix_generations_task_id", "task_id"),
    )
    op.create_table(
        "task_revisions",
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("input_schema", JSON),
        sa.Column("output_schema", JSON),
        sa.Column("accuracy_target", sa.Double(), nullable=False),
        sa.Column("latency_target_ms", sa.Double(), nullable=False),
        sa.Column("sampling_rate", sa.Double(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("task_id", "revision"),
        sa.Index("ix_task_revisions_organisation_id", "organisation_id"),
    )
    op.create_table(
        "telemetry_counts",
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("task", sa.String(63), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("arm", sa.String(16), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("executions", sa.BigInteger(), nullable=False),
        sa.Column("outcomes", JSON, nullable=False),
        sa.Column("caller_timeouts", sa.BigInteger(), nullable=False),
        sa.Column("latency_sketch", sa.LargeBinary(), nullable=False),
        sa.Column("confidence_bins", JSON, nullable=False),
        sa.Column("output_mix", JSON, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "task", "version", "arm", "day"),
        sa.Index("ix_telemetry_counts_organisation_id", "organisation_id"),
    )
    op.create_table(
        "telemetry_receipts",
        sa.Column(
            "deployment_id", sa.String(36), sa.ForeignKey("edges.deployment_id"), nullable=False
        ),
        sa.Column("log_id", sa.String(63), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("received_at", MOMENT, nullable=False),
        sa.Column("dropped", JSON, nullable=False),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("deployment_id", "log_id", "number"),
        sa.Index("ix_telemetry_receipts_organisation_id", "organisation_id"),
    )
    op.create_table(
        "artifacts",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("task_id", sa.String(36), sa.ForeignKey("tasks.id"), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("generation_id", sa.String(36), sa.ForeignKey("generations.id")),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("digest", sa.String(71), nullable=False),
        sa.Column("size_bytes", sa.Integer(), nullable=False),
        sa.Column("signature", sa.LargeBinary(), nullable=False),
        sa.Column("synthesis_strategy", sa.String(16), nullable=False),
        sa.Column("origin", sa.String(16), nullable=False),
        sa.Column("task_revision", sa.Integer(), nullable=False),
        sa.Column("confidence_score", sa.Double(), nullable=False),
        sa.Column("is_low_evidence", sa.Boolean(), nullable=False),
        sa.Column("scores", JSON, nullable=False),
        sa.Column("complexity_metrics", JSON, nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("activated_at", MOMENT),
        sa.Column("organisation_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("generation_id"),
        sa.UniqueConstraint("task_id", "version"),
        sa.Index("ix_artifacts_digest", "digest"),
        sa.Index("ix_artifacts_organisation_id", "organisation_id"),
        sa.Index("ix_artifacts_task_id", "task_id"),
        sa.Index(
            "one_active_version_a_task",
            "task_id",
            unique=True,
            sqlite_where=ACTIVE,
            postgresql_where=ACTIVE,
        ),
    )
