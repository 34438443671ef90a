"""What a generator is told of a task, and what a version records of how it was made.

Pure; between the nouns task, generator and artifact, which do not know each other.
Never: reads a database.
"""

from collections.abc import Sequence
from dataclasses import asdict

import orjson

from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.generator.portfolio import Generation
from controlplane.generator.protocol import Example, TaskBrief
from controlplane.tasks.specification import Example as StoredExample
from controlplane.tasks.specification import Task
from edged.artifacts.archive import SelfTest


def draft_task(task: Task) -> DraftTask:
    """Return the task as of now, with the schemas in force."""
    return DraftTask(
        id=task.id,
        organisation_id=task.organisation_id,
        name=task.name,
        description=task.specification.description,
        revision=task.revision,
        input_schema=task.input_schema,
        output_schema=task.output_schema,
    )


def brief_of(task: Task) -> TaskBrief:
    return TaskBrief(
        name=task.name,
        description=task.specification.description,
        input_schema=task.input_schema,
        output_schema=task.output_schema,
        accuracy_target=task.specification.accuracy_target,
        latency_target_ms=task.specification.latency_target_ms,
    )


def decoded(rows: Sequence[StoredExample]) -> list[Example]:
    return [
        Example(input=orjson.loads(row.input_json), output=orjson.loads(row.output_json))
        for row in rows
    ]


def draft_of(task: Task, generation_id: str, generation: Generation, elapsed_s: float) -> Draft:
    """Return the draft of a generated program; generation_id makes its publishing happen once."""
    candidate = generation.candidate
    scores = dict(generation.scores)
    own = scores.get(generation.strategy, {})
    scores[generation.strategy] = own | {"explanation": candidate.explanation}
    author = candidate.exchanges[0] if candidate.exchanges else None
    return Draft(
        task=draft_task(task),
        source=candidate.source,
        returns_confidence=candidate.returns_confidence,
        synthesis_strategy=candidate.strategy,
        origin="generated",
        self_tests=tuple(
            SelfTest(input=example.input, output=example.output) for example in generation.self_test
        ),
        confidence_score=generation.confidence_score,
        is_low_evidence=generation.is_low_evidence,
        scores=scores,
        complexity_metrics={name: float(value) for name, value in candidate.complexity.items()},
        generation_time_s=round(elapsed_s, 3),
        generation_id=generation_id,
        llm_provider=author.provider if author else None,
        llm_model=author.model if author else None,
        generation_cost=round(generation.cost_usd, 6),
        exchanges=tuple(asdict(exchange) for exchange in generation.exchanges),
    )
