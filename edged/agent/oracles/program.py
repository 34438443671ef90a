"""Ask a reference artifact, run in the agent's own pool behind the same barriers as any program.

Runs in: the agent. Talks to: the agent's pool. Never: runs in a worker of the gateway.
"""

from time import perf_counter
from types import TracebackType
from typing import Self

import orjson

from edged.agent.oracles.protocol import Answer, OracleAway, OracleFailed, Question, QuestionRefused
from edged.artifacts.archive import digest_of, read
from edged.deployment.checking import ProgramValidation
from edged.errors import ArtifactInvalid, ConfigInvalid
from edged.pool.pool import Outcome, Pool, PoolError, ProgramSource
from edged.sandbox.refusals import ProgramRefused


class ProgramOracle:
    """One reference program. It costs nothing."""

    name = "program"

    def __init__(self, task: str, settings: ProgramValidation, pool: Pool) -> None:
        self._task = task
        self._settings = settings
        self._pool = pool
        self._key = ""  # in the pool, where two tasks may have the same artifact

    async def __aenter__(self) -> Self:
        """Load it. Raises ConfigInvalid for what is wrong with it, PoolError for what is not."""
        try:
            self._key, program = self._read()
            await self._pool.load(self._key, program)
        except OSError as error:
            raise self._invalid(error.strerror) from error
        except (ArtifactInvalid, ProgramRefused) as error:
            raise self._invalid("; ".join(str(error).splitlines())) from error
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._pool.unload(self._key)

    async def ask(self, question: Question) -> Answer:
        started_s = perf_counter()
        try:
            result = await self._pool.call(
                self._key,
                question.input_json,
                time_limit_ms=self._settings.timeout_ms,
            )
        except PoolError as error:
            raise OracleAway(reason=str(error)) from error
        latency_ms = (perf_counter() - started_s) * 1000
        if result.is_lost:
            raise OracleAway(reason=result.error_type)
        if result.outcome is Outcome.TIMEOUT:  # perhaps of a busy machine: the agent is niced
            raise OracleFailed(reason="the reference program's time limit passed")
        if result.outcome is not Outcome.SUCCESS:
            raise QuestionRefused(reason=f"the reference program failed: {result.outcome.name}")
        return Answer(
            output=orjson.loads(result.output_json), cost=0.0, latency_ms=round(latency_ms, 3)
        )

    def _read(self) -> tuple[str, ProgramSource]:
        data = self._settings.artifact.read_bytes()
        artifact = read(data)
        program = ProgramSource(
            source=artifact.program,
            returns_confidence=artifact.manifest.returns_confidence,
            source_bytes_limit=artifact.manifest.source_bytes_limit,
        )
        return f"{self._task} {digest_of(data)}", program

    def _invalid(self, reason: object) -> ConfigInvalid:
        source = f"validation.{self._task}.artifact {self._settings.artifact}"
        return ConfigInvalid(source=source, reason=reason)
