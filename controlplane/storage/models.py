"""The tables. What each row means, and the rules that the database itself holds.

Runs in: server and jobs; written by the noun that owns the table. Never: more than columns.
"""

from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ForeignKey,
    Index,
    LargeBinary,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.storage.columns import Base, Counted, Id, Json, Name


class ApiKey(Base):
    """A key that may call until it is revoked; only its HMAC is kept. scope: edge, read, admin."""

    __tablename__ = "api_keys"
    __table_args__ = (
        Index(
            "one_valid_key_a_name",
            "organisation_id",
            "name",
            unique=True,
            sqlite_where=text("revoked_at IS NULL"),
            postgresql_where=text("revoked_at IS NULL"),
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    scope: Mapped[str] = mapped_column(String(16))
    hmac: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]


class TaskRow(Base):
    """A task; what was specified is in its current revision."""

    __tablename__ = "tasks"
    __table_args__ = (UniqueConstraint("organisation_id", "name"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(Name)
    revision: Mapped[int]
    # Followed from the examples; count only where the revision gives no schema.
    inferred_input_schema: Mapped[dict[str, Any] | None] = mapped_column(Json)
    inferred_output_schema: Mapped[dict[str, Any] | None] = mapped_column(Json)
    created_at: Mapped[datetime]


class TaskRevision(Base):
    """What was specified at one time; never changed."""

    __tablename__ = "task_revisions"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    description: Mapped[str] = mapped_column(Text)
    input_schema: Mapped[dict[str, Any] | None] = mapped_column(Json)
    output_schema: Mapped[dict[str, Any] | None] = mapped_column(Json)
    accuracy_target: Mapped[float]
    latency_target_ms: Mapped[float]
    sampling_rate: Mapped[float]
    created_at: Mapped[datetime]


class ExampleRow(Base):
    """One input and the output expected for it; stored once a task."""

    __tablename__ = "examples"
    __table_args__ = (UniqueConstraint("task_id", "digest"),)

    id: Mapped[int] = mapped_column(Counted, primary_key=True, autoincrement=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"))
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256 over both texts
    input_json: Mapped[str] = mapped_column(Text)
    output_json: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class GenerationRow(Base):
    """A request for a program and how far it has come; `queued` is the request itself."""

    __tablename__ = "generations"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), index=True)
    status: Mapped[str] = mapped_column(String(16), index=True)
    progress: Mapped[float]
    reason: Mapped[str] = mapped_column(Text, default="")
    strategies: Mapped[list[Any]] = mapped_column(Json)  # empty: all that fit
    activate: Mapped[bool]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ArtifactRow(Base):
    """One version of a task's program; the ZIP is the blob of that digest."""

    __tablename__ = "artifacts"
    __table_args__ = (
        UniqueConstraint("task_id", "version"),
        Index(
            "one_active_version_a_task",
            "task_id",
            unique=True,
            sqlite_where=text("status = 'active'"),
            postgresql_where=text("status = 'active'"),
        ),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), index=True)
    version: Mapped[int]
    # A generation publishes once, however often it is resumed.
    generation_id: Mapped[str | None] = mapped_column(ForeignKey("generations.id"), unique=True)
    status: Mapped[str] = mapped_column(String(16))
    digest: Mapped[str] = mapped_column(String(71), index=True)
    size_bytes: Mapped[int]
    signature: Mapped[bytes] = mapped_column(LargeBinary)  # DSSE envelope (JSON)
    synthesis_strategy: Mapped[str] = mapped_column(String(16))
    origin: Mapped[str] = mapped_column(String(16))
    task_revision: Mapped[int]
    confidence_score: Mapped[float]
    is_low_evidence: Mapped[bool]
    scores: Mapped[dict[str, Any]] = mapped_column(Json)
    complexity_metrics: Mapped[dict[str, Any]] = mapped_column(Json)
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]


class ExchangeRow(Base):
    """One question to a language model while a version was made, whoever's program was chosen."""

    __tablename__ = "exchanges"

    artifact_id: Mapped[str] = mapped_column(ForeignKey("artifacts.id"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    content: Mapped[dict[str, Any]] = mapped_column(Json)


class FleetSequence(Base):
    """The sequence of the last state signed for an organisation's edges."""

    __tablename__ = "fleet_sequences"

    organisation_id: Mapped[str] = mapped_column(Id, primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger)


class EdgeRow(Base):
    """An enrolled edge and what it last said of itself."""

    __tablename__ = "edges"

    deployment_id: Mapped[str] = mapped_column(Id, primary_key=True)
    name: Mapped[str] = mapped_column(String(255))
    edge_version: Mapped[str] = mapped_column(String(63))
    enrolled_at: Mapped[datetime]
    last_seen_at: Mapped[datetime | None]
    log_id: Mapped[str] = mapped_column(String(63), default="")
    privacy_mode: Mapped[str] = mapped_column(String(16), default="")
    applied_sequence: Mapped[int] = mapped_column(BigInteger, default=0)
    batches_pending: Mapped[int] = mapped_column(BigInteger, default=0)
    problems: Mapped[list[Any]] = mapped_column(Json, default=list)
    refused: Mapped[str] = mapped_column(Text, default="")  # why the last whole state was
    dropped: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # at the edge, by reason
    settings: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # wanted by people
    settings_refused: Mapped[dict[str, Any]] = mapped_column(Json, default=dict)  # by the edge
    privacy_floor: Mapped[str] = mapped_column(String(16), default="")  # only ever tightened


class EdgeTask(Base):
    """How one edge fares with one task."""

    __tablename__ = "edge_tasks"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"), primary_key=True)
    task: Mapped[str] = mapped_column(Name, primary_key=True)
    state: Mapped[str] = mapped_column(String(16))
    serving_version: Mapped[int]
    target_version: Mapped[int]
    stage: Mapped[int]
    reason: Mapped[str] = mapped_column(Text)
    updated_at: Mapped[datetime]


class TelemetryReceipt(Base):
    """A batch that was counted; the key is what makes a repeated one harmless."""

    __tablename__ = "telemetry_receipts"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"), primary_key=True)
    log_id: Mapped[str] = mapped_column(String(63), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    received_at: Mapped[datetime]
    dropped: Mapped[dict[str, Any]] = mapped_column(Json)  # at the edge, by reason


class ErasureRow(Base):
    """What an edge asked to have erased here, and how much of it there was; the account of it."""

    __tablename__ = "erasures"

    erasure_id: Mapped[str] = mapped_column(Id, primary_key=True)
    part: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"))
    task: Mapped[str] = mapped_column(Name)
    executions: Mapped[int]
    erased: Mapped[int]
    erased_at: Mapped[datetime]


class TelemetryCount(Base):
    """All executions of one version's arm at one edge on one day (UTC)."""

    __tablename__ = "telemetry_counts"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"), primary_key=True)
    task: Mapped[str] = mapped_column(Name, primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    arm: Mapped[str] = mapped_column(String(16), primary_key=True)
    day: Mapped[date] = mapped_column(primary_key=True)
    executions: Mapped[int] = mapped_column(BigInteger)
    outcomes: Mapped[dict[str, Any]] = mapped_column(Json)  # count by outcome's name
    caller_timeouts: Mapped[int] = mapped_column(BigInteger)
    latency_sketch: Mapped[bytes] = mapped_column(LargeBinary)  # DDSketch of milliseconds
    confidence_bins: Mapped[list[Any]] = mapped_column(Json)  # ten equal bins over 0 to 1
    output_mix: Mapped[dict[str, Any]] = mapped_column(Json)


class ExecutionSample(Base):
    """One execution that an edge sent home, as its privacy mode permitted."""

    __tablename__ = "execution_samples"

    execution_id: Mapped[str] = mapped_column(Id, primary_key=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"))
    task: Mapped[str] = mapped_column(Name, index=True)
    version: Mapped[int]
    arm: Mapped[str] = mapped_column(String(16))
    outcome: Mapped[str] = mapped_column(String(16))
    latency_ms: Mapped[float]
    confidence: Mapped[float | None]
    input_json: Mapped[str | None] = mapped_column(Text)
    output_json: Mapped[str | None] = mapped_column(Text)
    executed_at: Mapped[datetime]
    channel: Mapped[str] = mapped_column(String(16), default="")  # "": not drawn
    inclusion_probability: Mapped[float] = mapped_column(default=0.0)
    input_hash: Mapped[bytes | None] = mapped_column(LargeBinary)  # under the edge's own key
    output_index: Mapped[int | None]  # into the output schema's enum, where texts stay away
    output_hash: Mapped[bytes | None] = mapped_column(LargeBinary)
    erased: Mapped[list[Any]] = mapped_column(Json, default=list)  # by the privacy filter


class OutboxRow(Base):
    """Something changed; whoever waits for the topic looks again."""

    __tablename__ = "outbox"

    id: Mapped[int] = mapped_column(Counted, primary_key=True, autoincrement=True)
    topic: Mapped[str] = mapped_column(String(31))
    subject: Mapped[str] = mapped_column(String(63))
    content: Mapped[dict[str, Any] | None] = mapped_column(Json)  # of an event; a wake-up has none
    created_at: Mapped[datetime] = mapped_column(index=True)
