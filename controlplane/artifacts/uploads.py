"""Turn an uploaded ZIP or program text into a draft, through the gates.

Of an uploaded manifest only the strategy, the answer's form and, for a task without schemas, the
schemas are believed: number, scores and provenance are the control plane's to state.
Runs in: the server. Talks to: the gate. Never: stores anything.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import orjson

from controlplane.artifacts.draft import Draft, DraftTask
from controlplane.artifacts.gate import Gate, Program, Trial
from controlplane.errors import ArtifactRefused
from edged.artifacts.archive import Artifact, SelfTest, read
from edged.contract.schema import Schema
from edged.errors import ArtifactInvalid

ZIP_MAGIC = b"PK"
MAX_SELF_TESTS = 20  # what an edge runs before it serves


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """What was sent, and the task's stored examples to try it on."""

    content: bytes
    task: DraftTask
    samples: Sequence[SelfTest]
    returns_confidence: bool  # of a bare program; a ZIP says it itself


class Uploads:
    """The way of an upload to a draft."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    async def check(self, upload: Upload) -> Draft:
        """Raises ArtifactRefused naming the gate, and line and column where there are some."""
        if upload.content.startswith(ZIP_MAGIC):
            return await self._archive(upload)
        return await self._program(upload)

    async def _archive(self, upload: Upload) -> Draft:
        artifact = _read(upload.content)
        task = _with_schemas(upload.task, artifact)
        _check_inputs(artifact.self_tests, task)
        if not artifact.self_tests:
            inner = replace(
                upload,
                content=artifact.program.encode(),
                task=task,
                returns_confidence=artifact.manifest.returns_confidence,
            )
            return await self._program(inner)
        trials = [
            Trial(input=row.input, output=row.output, is_expected=True)
            for row in artifact.self_tests
        ]
        program = Program(
            source=artifact.program, returns_confidence=artifact.manifest.returns_confidence
        )
        await self._gate.check(program, trials, task.output_schema)
        return Draft(
            task=task,
            source=artifact.program,
            returns_confidence=artifact.manifest.returns_confidence,
            synthesis_strategy=artifact.manifest.synthesis_strategy,
            origin="uploaded",
            self_tests=artifact.self_tests[:MAX_SELF_TESTS],
        )

    async def _program(self, upload: Upload) -> Draft:
        """Try a bare program on the task's examples; what it answers becomes its self-test."""
        program = Program(
            source=_text(upload.content), returns_confidence=upload.returns_confidence
        )
        trials = [Trial(input=row.input) for row in upload.samples]
        outputs = await self._gate.check(program, trials, upload.task.output_schema)
        answered = [
            SelfTest(input=row.input, output=output)
            for row, output in zip(upload.samples, outputs, strict=True)
        ]
        return Draft(
            task=upload.task,
            source=program.source,
            returns_confidence=program.returns_confidence,
            synthesis_strategy="rule",
            origin="uploaded",
            self_tests=tuple(answered[:MAX_SELF_TESTS]),
            scores=_agreement(upload.samples, answered),
        )


def _agreement(samples: Sequence[SelfTest], answered: Sequence[SelfTest]) -> dict[str, object]:
    """Say how often the program agreed with the samples; no score, since it may know them."""
    if not samples:
        return {}
    option = orjson.OPT_SORT_KEYS
    agreed = sum(
        orjson.dumps(sample.output, option=option) == orjson.dumps(answer.output, option=option)
        for sample, answer in zip(samples, answered, strict=True)
    )
    return {"stored_examples": {"tried": len(samples), "agreed": agreed}}


def _read(content: bytes) -> Artifact:
    try:
        return read(content)
    except ArtifactInvalid as error:
        raise ArtifactRefused(gate="archive", reason=error.facts["reason"]) from error


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ArtifactRefused(gate="archive", reason="neither a ZIP nor UTF-8 text") from error


def _with_schemas(task: DraftTask, artifact: Artifact) -> DraftTask:
    return replace(
        task,
        input_schema=task.input_schema or artifact.manifest.input_schema,
        output_schema=task.output_schema or artifact.manifest.output_schema,
    )


def _check_inputs(tests: Sequence[SelfTest], task: DraftTask) -> None:
    schema = Schema(task.input_schema)
    for number, test in enumerate(tests, start=1):
        breach = schema.breach(test.input, root="input")
        if breach is not None:
            reason = f"example {number}: {breach.field}: {breach.reason}"
            raise ArtifactRefused(gate="schema", reason=reason, field=breach.field)
