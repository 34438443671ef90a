"""What a task is: the values that the use cases pass on.

Pure. Never: knows a table or a request.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Specification:
    """What a person asks for; a schema that is None follows the examples."""

    description: str = ""
    input_schema: dict[str, Any] | None = None
    output_schema: dict[str, Any] | None = None
    accuracy_target: float = 0.9
    latency_target_ms: float = 10.0
    sampling_rate: float = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A task in its current revision."""

    id: str
    organisation_id: str
    name: str
    revision: int
    specification: Specification
    inferred_input_schema: dict[str, Any] | None
    inferred_output_schema: dict[str, Any] | None
    examples: int
    created_at: datetime
    updated_at: datetime  # of the revision

    @property
    def input_schema(self) -> dict[str, Any]:
        """Return the schema in force: given, else inferred, else one that permits everything."""
        given = self.specification.input_schema
        return given if given is not None else self.inferred_input_schema or {}

    @property
    def output_schema(self) -> dict[str, Any]:
        given = self.specification.output_schema
        return given if given is not None else self.inferred_output_schema or {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An input and the output expected for it, as canonical JSON."""

    input_json: str
    output_json: str
