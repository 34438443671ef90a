"""What an artifact says of itself: `manifest.json` in the ZIP, `metadata.json` at the edge.

Pure. Never: trusts a field it has not checked.
"""

from typing import Annotated, Any, Literal, NewType

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from edged.contract.schema import Schema, SchemaInvalid
from edged.errors import ArtifactInvalid

Digest = NewType("Digest", str)  # "sha256:" and 64 hexadecimal digits

TASK_NAME = r"^[a-z0-9-]{1,63}$"
TaskName = Annotated[str, Field(pattern=TASK_NAME)]
Strategy = Literal["rule", "ml", "hybrid", "dsl"]
MAX_SOURCE_BYTES = 4 * 1024 * 1024  # a linear model over 18,000 examples needs about a tenth


class Provenance(BaseModel):
    """Where a program came from. Times in seconds, cost in US dollars."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    origin: Literal["generated", "uploaded"]
    llm_provider: str | None = None
    llm_model: str | None = None
    generation_cost: float = 0.0
    generation_time_sec: float = 0.0
    task_revision: int = 1


class Manifest(BaseModel):
    """Everything an edge needs besides the program's text; immutable with its artifact."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    id: str
    task_id: str
    task: TaskName
    description: str = ""
    version: int = Field(ge=1)
    language: Literal["python"] = "python"
    synthesis_strategy: Strategy
    returns_confidence: bool = False
    source_bytes_limit: int = Field(default=65_536, ge=1, le=MAX_SOURCE_BYTES)
    input_schema: dict[str, Any] = Field(default_factory=dict)
    output_schema: dict[str, Any] = Field(default_factory=dict)
    confidence_score: float = Field(default=0.0, ge=0, le=1)
    is_low_evidence: bool = False
    scores: dict[str, Any] = Field(default_factory=dict)
    complexity_metrics: dict[str, float] = Field(default_factory=dict)
    provenance: Provenance
    created_at: AwareDatetime

    @field_validator("input_schema", "output_schema")
    @classmethod
    def _is_schema(cls, document: dict[str, Any]) -> dict[str, Any]:
        try:
            Schema(document)
        except SchemaInvalid as error:
            raise ValueError(f"not a JSON Schema: {error}") from error
        return document

    @classmethod
    def parse(cls, text: str | bytes) -> "Manifest":
        """Read a manifest. Raises ArtifactInvalid naming the field that is wrong."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(step) for step in first["loc"]) or "the document"
            raise ArtifactInvalid(reason=f"manifest.json: {place}: {first['msg']}") from error

    def render(self) -> str:
        """Return the canonical text: two-space indent, fields in order of definition."""
        return self.model_dump_json(indent=2) + "\n"
