"""A program that passed its gates, with all that its manifest will say; not yet a version.

Pure. Never: chooses a version number; that is decided while the version is published.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from pydantic import TypeAdapter

from edged.artifacts.archive import Artifact, SelfTest
from edged.artifacts.manifest import MAX_SOURCE_BYTES, Manifest, Provenance, Strategy

DEFAULT_SOURCE_BYTES = 65_536  # what the language policy permits without being asked


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftTask:
    """What a version records of its task."""

    id: str
    organisation_id: str
    name: str
    description: str
    revision: int
    input_schema: dict[str, Any]
    output_schema: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """Everything of a version but its number."""

    task: DraftTask
    source: str
    returns_confidence: bool
    synthesis_strategy: Strategy
    origin: Literal["generated", "uploaded"]
    self_tests: tuple[SelfTest, ...]
    confidence_score: float = 0.0
    is_low_evidence: bool = True
    scores: Mapping[str, Any] = field(default_factory=dict)
    complexity_metrics: Mapping[str, float] = field(default_factory=dict)
    generation_time_s: float = 0.0
    generation_id: str | None = None
    llm_provider: str | None = None  # whose model wrote the program, when one did
    llm_model: str | None = None
    generation_cost: float = 0.0  # US dollars; also for what a model wrote in vain
    exchanges: tuple[dict[str, Any], ...] = ()  # plain JSON; stored beside the artifact, not in it

    def render(self) -> str:
        """Return JSON: a generation keeps its draft while it is being published."""
        return _DRAFTS.dump_json(self).decode()

    @classmethod
    def parse(cls, text: str) -> "Draft":
        """Read what `render` wrote."""
        return _DRAFTS.validate_json(text)

    def artifact(self, *, artifact_id: str, version: int, created_at: datetime) -> Artifact:
        """Return what is packed; the same arguments give the same bytes."""
        return Artifact(
            manifest=self._manifest(artifact_id, version, created_at),
            program=self.source,
            self_tests=self.self_tests,
        )

    def _manifest(self, artifact_id: str, version: int, created_at: datetime) -> Manifest:
        provenance = Provenance(
            origin=self.origin,
            llm_provider=self.llm_provider,
            llm_model=self.llm_model,
            generation_cost=self.generation_cost,
            generation_time_sec=self.generation_time_s,
            task_revision=self.task.revision,
        )
        return Manifest(
            id=artifact_id,
            task_id=self.task.id,
            task=self.task.name,
            description=self.task.description,
            version=version,
            synthesis_strategy=self.synthesis_strategy,
            returns_confidence=self.returns_confidence,
            source_bytes_limit=source_bytes_limit(self.source),
            input_schema=self.task.input_schema,
            output_schema=self.task.output_schema,
            confidence_score=self.confidence_score,
            is_low_evidence=self.is_low_evidence,
            scores=dict(self.scores),
            complexity_metrics=dict(self.complexity_metrics),
            provenance=provenance,
            created_at=created_at,
        )


def source_bytes_limit(source: str) -> int:
    """Return the limit that an artifact with this source asks for; at most 4 MiB."""
    return min(max(len(source.encode()), DEFAULT_SOURCE_BYTES), MAX_SOURCE_BYTES)


_DRAFTS = TypeAdapter(Draft)
