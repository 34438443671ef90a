"""Section isolation: what must stand between a program and this machine. Pure."""

from collections.abc import Mapping
from typing import Annotated, Final

from pydantic import BeforeValidator, ConfigDict, Field, field_validator

from edged.artifacts.manifest import TaskName
from edged.deployment.section import Section
from edged.pool.barriers import KNOWN_BARRIERS, MINIMUM
from edged.pool.settings import Isolation as IsolationClass
from edged.sandbox.backend import Backend

_SPELLED_CLASS: Final = ConfigDict(  # a key that Python keeps for itself
    frozen=True, extra="forbid", validate_by_name=True, serialize_by_alias=True
)


class TaskIsolation(Section):
    """What one task has of its own."""

    model_config = _SPELLED_CLASS

    of_class: IsolationClass | None = Field(default=None, alias="class")
    """None: the class of all tasks."""
    backend: Backend = Backend.PYTHON


def _with_short_form(value: object) -> object:
    return {"class": value} if isinstance(value, str) else value


class Isolation(Section):
    """How far programs are kept apart from the machine, and their executions from each other."""

    model_config = _SPELLED_CLASS

    default: IsolationClass = Field(default=IsolationClass.PER_PROGRAM, alias="class")
    tasks: Mapping[TaskName, Annotated[TaskIsolation, BeforeValidator(_with_short_form)]] = Field(
        default_factory=dict
    )
    """Of single tasks; a class alone may stand for `{class: …}`."""
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

    @property
    def tasks_on_monty(self) -> list[TaskName]:
        return [name for name, task in self.tasks.items() if task.backend is Backend.MONTY]
