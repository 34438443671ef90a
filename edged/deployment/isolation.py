"""Section isolation: what must stand between a program and this machine. Pure."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field, field_validator

from edged.artifacts.manifest import TaskName
from edged.deployment.section import Section
from edged.pool.barriers import KNOWN_BARRIERS, MINIMUM
from edged.pool.settings import Isolation as IsolationClass


class Isolation(Section):
    """How far programs are kept apart from the machine, and their executions from each other."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True
    )

    default: IsolationClass = Field(default=IsolationClass.PER_PROGRAM, alias="class")
    tasks: Mapping[TaskName, IsolationClass] = Field(default_factory=dict)
    """The class of single tasks."""
    require: tuple[str, ...] = MINIMUM
    """Barriers without which the edge refuses to start; `edged doctor` says what each one stops."""

    @field_validator("require")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = sorted(set(names) - KNOWN_BARRIERS)
        if unknown:
            known = ", ".join(sorted(KNOWN_BARRIERS))
            raise ValueError(f"unknown barrier {', '.join(unknown)}; there are {known}")
        return names
