"""Check JSON values against a task's JSON Schemas.

Pure. Used by: the gateway for every input and output, and the control plane's gates.
Never: follows a reference out of the schema, or repeats a value in a message.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jsonschema_rs

JsonSchema = Mapping[str, Any] | bool


class SchemaInvalid(ValueError):
    """The schema itself is not a usable JSON Schema; the message says where and why."""


@dataclass(frozen=True, slots=True)
class Breach:
    """Where a value breaks its schema: `input.items[3].price`, and why."""

    field: str
    reason: str


class Schema:
    """One compiled JSON Schema; checking a small value takes well under a microsecond.

    Raises SchemaInvalid when the document is not a JSON Schema, or refers outside of itself.
    """

    def __init__(self, document: JsonSchema) -> None:
        try:
            self._validator = jsonschema_rs.validator_for(
                document if isinstance(document, bool) else dict(document),
                retriever=_refuse_reference,
                # Linear-time patterns: a customer's schema must not be a way to stall the gateway.
                pattern_options=jsonschema_rs.RegexOptions(),
                mask="the value",
            )
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            raise SchemaInvalid(str(error).splitlines()[0]) from error
        self.is_satisfied_by = self._validator.is_valid

    def breach(self, value: object, *, root: str) -> Breach | None:
        """Return the first place where `value` breaks the schema, named from `root` on."""
        try:
            self._validator.validate(value)
        except jsonschema_rs.ValidationError as error:
            return Breach(_path(root, error.instance_path), error.message[:300])
        except ValueError as error:  # e.g. an integer that JSON Schema cannot carry
            return Breach(root, str(error)[:300])
        return None


def _path(root: str, steps: list[str | int]) -> str:
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def _refuse_reference(uri: str) -> Any:
    raise ValueError(f"the reference {uri} leaves the schema; only '#/…' is allowed")
