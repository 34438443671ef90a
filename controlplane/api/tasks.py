"""`/api/v1/tasks`: create, read and revise tasks.

Runs in: the server. Talks to: tasks. Never: decides; a body becomes a value and a value an answer.
"""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from controlplane.api.examples import refuse_faults
from controlplane.api.parts import Authenticated, Parts
from controlplane.tasks.catalog import check_schemas
from controlplane.tasks.rows import Reading, from_values
from controlplane.tasks.specification import Specification, Task
from edged.artifacts.manifest import TASK_NAME

router = APIRouter(prefix="/tasks", tags=["tasks"])

MAX_INLINE = 10_000  # examples in one JSON body; more come as an upload
Fraction = Annotated[float, Field(gt=0, le=1)]


class TaskBody(BaseModel):
    """A TaskSpecification. A schema that is left out follows the examples."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(pattern=TASK_NAME)
    description: str = Field(default="", max_length=20_000)
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    examples: list[dict[str, Any]] = Field(default_factory=list, max_length=MAX_INLINE)
    label_field: str | None = Field(default=None, min_length=1)
    accuracy_target: Fraction = 0.9
    latency_target_ms: float = Field(default=10.0, gt=0)
    sampling_rate: float = Field(default=0.1, ge=0, le=1)


class TaskChanges(BaseModel):
    """What a new revision changes; what is left out stays."""

    model_config = ConfigDict(extra="forbid")

    description: str = Field(default="", max_length=20_000)
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    accuracy_target: Fraction = 0.9
    latency_target_ms: float = Field(default=10.0, gt=0)
    sampling_rate: float = Field(default=0.1, ge=0, le=1)


class TaskView(BaseModel):
    """A task in its current revision, with the schemas in force."""

    id: str
    name: str
    revision: int
    description: str
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]
    input_schema_is_inferred: bool
    output_schema_is_inferred: bool
    accuracy_target: float
    latency_target_ms: float
    sampling_rate: float
    examples: int
    created_at: datetime
    updated_at: datetime


class TaskList(BaseModel):
    tasks: list[TaskView]


@router.post("", status_code=201)
async def create_task(body: TaskBody, parts: Parts, caller: Authenticated) -> TaskView:
    """Create a task; the name must be free."""
    specification = Specification(
        description=body.description,
        input_schema=body.input_schema,
        output_schema=body.output_schema,
        accuracy_target=body.accuracy_target,
        latency_target_ms=body.latency_target_ms,
        sampling_rate=body.sampling_rate,
    )
    check_schemas(specification)
    parsed = from_values(body.examples, Reading.of(specification, body.label_field))
    refuse_faults(parsed)
    task = await parts.tasks.create(caller.organisation_id, body.name, specification, parsed.rows)
    return _view(task)


@router.get("")
async def list_tasks(parts: Parts, caller: Authenticated) -> TaskList:
    """List all tasks by name."""
    return TaskList(tasks=[_view(task) for task in await parts.tasks.list(caller.organisation_id)])


@router.get("/{task}")
async def read_task(task: str, parts: Parts, caller: Authenticated) -> TaskView:
    """Read one task by name or UUID."""
    return _view(await parts.tasks.find(caller.organisation_id, task))


@router.patch("/{task}")
async def revise_task(
    task: str, changes: TaskChanges, parts: Parts, caller: Authenticated
) -> TaskView:
    """Add a revision; a schema set to null follows the examples again."""
    given = changes.model_dump(exclude_unset=True)
    return _view(await parts.tasks.revise(caller.organisation_id, task, given))


def _view(task: Task) -> TaskView:
    specification = task.specification
    return TaskView(
        id=task.id,
        name=task.name,
        revision=task.revision,
        description=specification.description,
        input_schema=task.input_schema,
        output_schema=task.output_schema,
        input_schema_is_inferred=specification.input_schema is None,
        output_schema_is_inferred=specification.output_schema is None,
        accuracy_target=specification.accuracy_target,
        latency_target_ms=specification.latency_target_ms,
        sampling_rate=specification.sampling_rate,
        examples=task.examples,
        created_at=task.created_at,
        updated_at=task.updated_at,
    )
