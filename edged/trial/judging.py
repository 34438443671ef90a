"""Run one payload in a pool and say how it ended, and which layer ended it.

Runs in: `edged sandbox try`, the tests. Talks to: a pool. Never: runs a payload in this process.

Every payload is called up to three times: what one call leaves behind for the next shows in the
second, and then the worst of the answers counts.
"""

import time
from dataclasses import dataclass
from typing import Any, Final

from edged.pool.errors import PoolError
from edged.pool.pool import Outcome, Pool, ProgramSource, Result
from edged.pool.values import Placement
from edged.pool.verdicts import Cause, refusal_of
from edged.sandbox.backend import Backend
from edged.sandbox.layers import LANGUAGE, SECCOMP
from edged.sandbox.refusals import ProgramRefused
from edged.trial.payloads import Payload

CALLS: Final = 3
PWNED: Final = "pwned"
FAILED: Final = "failed"
SUPERVISION: Final = "supervision"
_NONE: Final = "none"
_ENDS_WORKER: Final = frozenset({"seccomp", "process"})
_SEVERITY: Final = ("ok", "blocked", "memory", "timeout", FAILED, PWNED)
_DETAIL_CHARS: Final = 300

_BY_ERROR_NUMBER: Final = {
    "1": "seccomp", "13": "landlock", "11": "rlimits", "12": "rlimits", "24": "rlimits",
    "27": "rlimits", "101": "namespaces",
}  # fmt: skip
"""Which layer answers a system call like this, to a program that has no language layer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one call or one load ended."""

    verdict: str
    layer: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    payload: Payload
    ending: Ending
    ms: float

    @property
    def is_expected(self) -> bool:
        return self.ending.verdict in self.payload.expect or (
            # Refused because it cannot even be loaded in time or memory: blocked as well.
            self.ending.verdict in ("timeout", "memory")
            and self.ending.layer == "load"
            and "blocked" in self.payload.expect
        )

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.payload.name,
            "category": self.payload.category,
            "expect": "|".join(sorted(self.payload.expect)),
            "verdict": self.ending.verdict,
            "layer": self.ending.layer,
            "ms": round(self.ms, 1),
            "detail": self.ending.detail,
            "as_expected": self.is_expected,
        }


async def judge(
    pool: Pool,
    payload: Payload,
    *,
    key: str,
    without: frozenset[str],
    backend: Backend = Backend.PYTHON,
) -> Judgement:
    """Load and call one payload. key: its name in the pool, not shared with another payload."""
    begun_s = time.monotonic()
    try:
        program = ProgramSource(source=payload.code, placement=Placement(backend=backend))
        await pool.load(key, program)
        ending = await _call(pool, payload, key, without)
    except ProgramRefused as refused:
        ending = _refused(refused, without)
    except PoolError as error:
        ending = Ending(verdict=FAILED, layer=SUPERVISION, detail=str(error))
    finally:
        pool.unload(key)
    return Judgement(payload=payload, ending=ending, ms=(time.monotonic() - begun_s) * 1000)


async def _call(pool: Pool, payload: Payload, key: str, without: frozenset[str]) -> Ending:
    endings: list[Ending] = []
    for _ in range(CALLS):
        result = await pool.call(key, payload.input_json)
        endings.append(_ended(result, payload, without))
        if endings[-1].verdict not in ("ok", "blocked") or endings[-1].layer in _ENDS_WORKER:
            break  # nothing is left that a next call could find
    return max(endings, key=lambda ending: _SEVERITY.index(ending.verdict))


def _ended(result: Result, payload: Payload, without: frozenset[str]) -> Ending:
    words = f"{result.error_type}: {result.error_message}"[:_DETAIL_CHARS]
    if result.is_lost:
        return Ending(verdict=FAILED, layer=SUPERVISION, detail=words)
    match result.outcome:
        case Outcome.SUCCESS:
            return _answered(result.output_json.decode(errors="replace"), payload)
        case Outcome.TIMEOUT:
            return Ending(verdict="timeout", layer=SUPERVISION, detail=words)
        case Outcome.MEMORY:
            return Ending(verdict="memory", layer="rlimits", detail=words)
        case Outcome.VIOLATION:
            return Ending(verdict="blocked", layer="seccomp", detail=words)
        case Outcome.ERROR:
            return Ending(verdict="blocked", layer=_layer_of(result, without), detail=words)


def _answered(output: str, payload: Payload) -> Ending:
    detail = output[:_DETAIL_CHARS]
    must_not_answer = "blocked" in payload.expect
    if output.startswith('"PWNED') or (must_not_answer and "PWNED" in output):
        return Ending(verdict=PWNED, layer=_NONE, detail=detail)
    if must_not_answer and "ok" not in payload.expect:
        return Ending(verdict="blocked", layer=_NONE, detail=f"a harmless answer: {detail}")
    return Ending(verdict="ok", layer=_NONE, detail=detail)


def _layer_of(result: Result, without: frozenset[str]) -> str:
    """Return who made a call end in an error."""
    if result.error_type.startswith("worker_"):
        return "process"
    if LANGUAGE not in without:
        return LANGUAGE
    number = result.error_message.partition(",")[0]
    if number == "1" and SECCOMP in without:
        return "uid"
    return _BY_ERROR_NUMBER.get(number, "program")


_LOAD_ENDINGS: Final = {
    "a program that takes too long to load": "timeout",
    "a program that takes too much memory to load": "memory",
}
_KILLED: Final = {
    refusal.what: layer
    for cause, layer in ((Cause.VIOLATION, "seccomp"), (Cause.CRASHED, "process"))
    if (refusal := refusal_of(cause)) is not None
}


def _refused(refused: ProgramRefused, without: frozenset[str]) -> Ending:
    detail, what = str(refused)[:_DETAIL_CHARS], refused.refusals[0].what
    if what in _LOAD_ENDINGS:
        return Ending(verdict=_LOAD_ENDINGS[what], layer="load", detail=detail)
    policy = "program" if LANGUAGE in without else LANGUAGE
    return Ending(verdict="blocked", layer=_KILLED.get(what, policy), detail=detail)
