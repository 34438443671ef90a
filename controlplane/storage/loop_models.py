"""The tables of the improvement loop: what was checked, what was tried, who was asked.

Runs in: server and jobs; written by the noun that owns the table. Never: more than columns.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, LargeBinary, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from controlplane.storage.columns import Base, Counted, Id, Json, Name

IMPROVEMENT_IS_OPEN = (
    "status IN ('triggered', 'analysing', 'generating', 'evaluating', 'rolling_out')"
)
ROLLOUT_IS_OPEN = "status IN ('running', 'paused')"
TICKET_IS_OPEN = "status = 'open'"


def _one_open(name: str, condition: str) -> Index:
    """Hold by the database that a task has one such row at most."""
    is_open = text(condition)
    return Index(name, "task_id", unique=True, sqlite_where=is_open, postgresql_where=is_open)


class ValidationRow(Base):
    """An oracle's word on one execution; its texts only as the edge's privacy mode permitted."""

    __tablename__ = "validations"
    __table_args__ = (
        UniqueConstraint("organisation_id", "execution_id", "oracle"),
        Index("ix_validations_task_version", "organisation_id", "task", "version"),
    )

    id: Mapped[int] = mapped_column(Counted, primary_key=True, autoincrement=True)
    validation_id: Mapped[str] = mapped_column(Id)
    execution_id: Mapped[str] = mapped_column(Id)
    oracle: Mapped[str] = mapped_column(Name)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"))
    task: Mapped[str] = mapped_column(Name)
    version: Mapped[int]
    arm: Mapped[str] = mapped_column(String(16))
    channel: Mapped[str] = mapped_column(String(16))
    inclusion_probability: Mapped[float]
    is_match: Mapped[bool]
    outcome: Mapped[str] = mapped_column(String(16))
    oracle_output_json: Mapped[str | None] = mapped_column(Text)
    oracle_output_index: Mapped[int | None]  # into the output schema's enum
    oracle_output_hash: Mapped[bytes | None] = mapped_column(LargeBinary)  # under the edge's key
    oracle_cost: Mapped[float]
    oracle_latency_ms: Mapped[float]
    similarity_score: Mapped[float]
    comparison_method: Mapped[str] = mapped_column(String(16))
    validated_at: Mapped[datetime]
    voided_at: Mapped[datetime | None]  # a person declared the oracle wrong; counts no more


class ReviewRow(Base):
    """A person's label of one execution; the newest wins over older ones and over every oracle."""

    __tablename__ = "reviews"

    id: Mapped[int] = mapped_column(Counted, primary_key=True, autoincrement=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), index=True)
    execution_id: Mapped[str] = mapped_column(Id, index=True)
    label_json: Mapped[str] = mapped_column(Text)
    reviewer: Mapped[str] = mapped_column(Name)
    created_at: Mapped[datetime]


class RolloutRow(Base):
    """The way of one version to all traffic."""

    __tablename__ = "rollouts"
    __table_args__ = (_one_open("one_open_rollout_a_task", ROLLOUT_IS_OPEN),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), index=True)
    from_version: Mapped[int]
    to_version: Mapped[int]
    plan: Mapped[dict[str, Any]] = mapped_column(Json)
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    # An improvement rolls out once, however often it is resumed.
    improvement_id: Mapped[str | None] = mapped_column(ForeignKey("improvements.id"), unique=True)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class RolloutStep(Base):
    """A decision of an edge, as it came."""

    __tablename__ = "rollout_steps"

    decision_id: Mapped[str] = mapped_column(Id, primary_key=True)
    rollout_id: Mapped[str] = mapped_column(Id, index=True)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"))
    task: Mapped[str] = mapped_column(Name)
    version: Mapped[int]  # the candidate's
    stage: Mapped[int]
    phase: Mapped[str] = mapped_column(String(16))
    verdict: Mapped[str] = mapped_column(String(16))
    action: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    evidence_json: Mapped[str] = mapped_column(Text)
    decided_at: Mapped[datetime]
    received_at: Mapped[datetime]


class RolloutCommand(Base):
    """A person's word to the edges about a rollout; each carries it out once by its id."""

    __tablename__ = "rollout_commands"

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    rollout_id: Mapped[str] = mapped_column(ForeignKey("rollouts.id"), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class ImprovementRow(Base):
    """One attempt to better a task's program, from its trigger to its outcome."""

    __tablename__ = "improvements"
    __table_args__ = (_one_open("one_open_improvement_a_task", IMPROVEMENT_IS_OPEN),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), index=True)
    status: Mapped[str] = mapped_column(String(20), index=True)
    from_version: Mapped[int]
    to_version: Mapped[int | None]
    trigger: Mapped[dict[str, Any]] = mapped_column(Json)  # the failure rate that set it off
    patterns: Mapped[list[Any]] = mapped_column(Json)
    evaluation: Mapped[dict[str, Any]] = mapped_column(Json)
    reason: Mapped[str] = mapped_column(Text)  # of the last change of status
    history: Mapped[list[Any]] = mapped_column(Json)  # status, at, reason
    labels_known: Mapped[int]  # of the task when it began; the next attempt wants more
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class TicketRow(Base):
    """A request to a person after improvements that did not help."""

    __tablename__ = "tickets"
    __table_args__ = (_one_open("one_open_ticket_a_task", TICKET_IS_OPEN),)

    id: Mapped[str] = mapped_column(Id, primary_key=True)
    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id"), index=True)
    improvement_id: Mapped[str] = mapped_column(ForeignKey("improvements.id"), unique=True)
    status: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    content: Mapped[dict[str, Any]] = mapped_column(Json)
    note: Mapped[str] = mapped_column(Text)  # the answer
    created_at: Mapped[datetime]
    resolved_at: Mapped[datetime | None]


class OracleQuestionRow(Base):
    """What an edge asks: the right output for one execution's input."""

    __tablename__ = "oracle_questions"
    __table_args__ = (
        UniqueConstraint("organisation_id", "execution_id"),
        Index("ix_oracle_questions_task", "organisation_id", "task", "answered_at"),
        Index("ix_oracle_questions_edge", "deployment_id", "delivered_at"),
    )

    id: Mapped[int] = mapped_column(Counted, primary_key=True, autoincrement=True)
    execution_id: Mapped[str] = mapped_column(Id)
    deployment_id: Mapped[str] = mapped_column(ForeignKey("edges.deployment_id"))
    task: Mapped[str] = mapped_column(Name)
    version: Mapped[int]
    input_json: Mapped[str] = mapped_column(Text)
    erased: Mapped[list[Any]] = mapped_column(Json)
    channel: Mapped[str] = mapped_column(String(16))
    inclusion_probability: Mapped[float]
    asked_at: Mapped[datetime]
    model_attempts: Mapped[int]  # a model that cannot answer leaves it to a person
    output_json: Mapped[str | None] = mapped_column(Text)
    answered_by: Mapped[str] = mapped_column(Name)
    cost: Mapped[float]
    answered_at: Mapped[datetime | None]
    delivered_at: Mapped[datetime | None]  # the edge has it on its disk
