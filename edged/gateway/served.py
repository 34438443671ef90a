"""A task as it serves: its route, and what its programs must be given and must return.

Runs in: the gateway, on the path of each call. Pure.
"""

from dataclasses import dataclass

import orjson

from edged.artifacts.manifest import Manifest
from edged.contract.schema import Schema
from edged.decisions.routing import Arm, Route, choose
from edged.errors import InputMalformed, InputRefused, OutputRefused


@dataclass(frozen=True, slots=True)
class ServedTask:
    """One task, its route and what its programs must be given and must return."""

    name: str
    route: Route
    manifest: Manifest
    input_schema: Schema
    output_schemas: dict[int, Schema]  # by version

    def read_input(self, input_json: bytes) -> bytes:
        """Return the input as it is run and logged. Raises InputMalformed or InputRefused."""
        try:
            value = orjson.loads(input_json)
            written = orjson.dumps(value)
        except (orjson.JSONDecodeError, orjson.JSONEncodeError) as error:  # what nests too deeply
            raise InputMalformed(reason=error) from error
        if not self.input_schema.is_satisfied_by(value):
            breach = self.input_schema.breach(value, root="input")
            if breach is not None:
                raise InputRefused(task=self.name, field=breach.field, reason=breach.reason)
        return written

    def check_output(self, version: int, output_json: bytes) -> None:
        """Raise OutputRefused when the output breaks the version's schema."""
        schema = self.output_schemas[version]
        try:
            value = orjson.loads(output_json)
        except orjson.JSONDecodeError as error:  # no harness of ours writes that
            raise OutputRefused(field="output", reason=error) from error
        if not schema.is_satisfied_by(value):
            breach = schema.breach(value, root="output")
            if breach is not None:
                raise OutputRefused(field=breach.field, reason=breach.reason)

    def choose(self, key: str) -> Arm:
        return choose(self.route.arms, self.name, key)
