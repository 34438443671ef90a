"""Sections telemetry and privacy: what leaves this machine. Pure."""

import re
from collections.abc import Mapping
from typing import Literal

from pydantic import Field, field_validator

from edged.contract.fields import Action, Rule
from edged.deployment.section import Section

PATTERN_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
MAX_PATTERN_CHARS = 1_000


class Telemetry(Section):
    """What goes home: counts of every execution, and validated samples as the mode permits."""

    enabled: bool = True
    upload_interval_sec: float = Field(default=60, gt=0)
    batch_size: int = Field(default=1000, ge=1)
    max_disk_mb: float = Field(default=256, ge=1)
    """Of batches that wait while home cannot be reached; records go first, counts last."""
    privacy_mode: Literal["strict", "balanced", "permissive"] = "balanced"


class Privacy(Section):
    """What the privacy filter does, in front of everything that leaves."""

    pii_detection: bool = True
    hash_inputs: bool = False
    sample_only: bool = True
    """In balanced: records of samples only; otherwise of every execution. Permissive sends all."""
    records_per_sec: float = Field(default=50, gt=0, le=10_000)
    """Of executions that are no samples, at most; more are left out and counted."""
    patterns: Mapping[str, str] = Field(default_factory=dict)
    """Personal data of the customer's own kinds: name → regular expression (RE2)."""
    fields: Mapping[str, Action] = Field(default_factory=dict)
    """JSON path → what becomes of the field before it leaves; the first path that fits counts."""

    @field_validator("patterns")
    @classmethod
    def _are_patterns(cls, patterns: Mapping[str, str]) -> Mapping[str, str]:
        for name, expression in patterns.items():
            if not PATTERN_NAME.fullmatch(name):
                raise ValueError(f"{name}: a name has lower-case letters, digits and _")
            _check_expression(name, expression)
        return patterns

    @field_validator("fields")
    @classmethod
    def _are_paths(cls, fields: Mapping[str, Action]) -> Mapping[str, Action]:
        for path, action in fields.items():
            Rule.parse(path, action)
        return fields

    @property
    def rules(self) -> tuple[Rule, ...]:
        return tuple(Rule.parse(path, action) for path, action in self.fields.items())


def _check_expression(name: str, expression: str) -> None:
    """Raise ValueError unless RE2 takes it and it matches something."""
    import re2  # only where somebody wrote a pattern

    if len(expression) > MAX_PATTERN_CHARS:
        raise ValueError(f"{name}: longer than {MAX_PATTERN_CHARS} characters")
    options = re2.Options()
    options.log_errors = False  # on standard error, with the pattern
    try:
        compiled = re2.compile(expression, options)
    except re2.error as error:
        raise ValueError(f"{name}: {error.args[0].decode()}") from None
    if compiled.search(""):
        raise ValueError(f"{name}: matches the empty text, so it would match everywhere")
