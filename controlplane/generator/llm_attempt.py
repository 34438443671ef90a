"""Read a program out of an answer and find out how it does on the rows that may be shown.

Cheap checks come first: a fenced block, the sandbox, a tenth of the rows, then all. Runs in: jobs.
Talks to: the evaluator and its runner. Never: sees a row that the program will be judged by.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from controlplane.generator import llm_prompt
from controlplane.generator.errors import CandidateRefused
from controlplane.generator.evaluator import Marks, evaluate
from controlplane.generator.intervals import wilson
from controlplane.generator.llm_model import CUT
from controlplane.generator.protocol import Candidate, Example, Exchange, ProgramRunner
from controlplane.generator.table import canonical

PILOT_SHARE = 10  # one row in so many
PILOT_MIN = 20
# Greedy up to the last fence at a line's start: a program may hold a fence in a string.
FENCED = re.compile(r"^```(?:python|py)?[ \t]*\n(.*)^```[ \t]*$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """A program out of one answer. accuracy is None when it does not load or never answers."""

    candidate: Candidate | None
    accuracy: float | None
    problem: str  # for the model, empty when all is right
    reason: str  # for people, in a few words

    @property
    def is_perfect(self) -> bool:
        return self.accuracy == 1.0

    def is_better_than(self, other: "Attempt | None") -> bool:
        if other is None or other.accuracy is None:
            return True
        return self.accuracy is not None and self.accuracy > other.accuracy


def program_in(answer: str) -> str | None:
    """Return the text of the one fenced block, None when there is none or are several."""
    found = FENCED.search(answer.replace("\r\n", "\n"))
    if found is None or _opens_another(found.group(1)):
        return None
    return found.group(1).strip("\n") + "\n"


def _opens_another(text: str) -> bool:
    return any(line.startswith(("```python", "```py")) for line in text.split("\n"))


async def attempt(
    exchange: Exchange,
    rows: Sequence[Example],
    runner: ProgramRunner,
    latency_target_ms: float,
) -> Attempt:
    """Try the program of one answer. rows: all that may be shown."""
    source = program_in(exchange.answer)
    if source is None:
        is_cut = exchange.stop_reason == CUT
        problem = llm_prompt.CUT_SHORT if is_cut else llm_prompt.NO_PROGRAM
        return _failed(problem, "the answer was cut off" if is_cut else "no program in the answer")
    candidate = candidate_of(source)
    try:
        tried, marks = await _try(candidate, rows, runner)
    except CandidateRefused as refusal:
        return _failed(llm_prompt.refused(str(refusal.reason)), str(refusal))
    problem = "" if all(marks.right) else llm_prompt.wrong(tried, marks, latency_target_ms)
    if marks.failures == len(tried):
        return _failed(problem, f"it fails on every input: {marks.runs[0].failure}")
    return Attempt(
        candidate=candidate,
        accuracy=sum(marks.right) / len(tried),
        problem=problem,
        reason=f"right on {sum(marks.right)} of {len(tried)}",
    )


def candidate_of(source: str) -> Candidate:
    """Return an unexplained candidate; a program written by hand, whoever's, is of rules."""
    return Candidate(
        strategy="rule",
        source=source,
        returns_confidence=False,
        complexity={"source_bytes": len(source.encode()), "lines": source.count("\n")},
        explanation="",
    )


async def _try(
    candidate: Candidate, rows: Sequence[Example], runner: ProgramRunner
) -> tuple[Sequence[Example], Marks]:
    """Return the rows tried and the marks: of the pilot rows alone when those look hopeless."""
    step = max(1, min(PILOT_SHARE, len(rows) // PILOT_MIN))
    pilot = rows[::step]
    marks = await evaluate(candidate, pilot, runner, lambda _: None)
    if step == 1 or _is_hopeless(marks, rows):
        return pilot, marks
    return rows, await evaluate(candidate, rows, runner, lambda _: None)


def _is_hopeless(marks: Marks, rows: Sequence[Example]) -> bool:
    """Whether even luck would not lift it over always saying the commonest output."""
    commonest = Counter(canonical(row.output) for row in rows).most_common(1)[0][1]
    _, high = wilson(sum(marks.right), len(marks.right))
    return high < commonest / len(rows)


def _failed(problem: str, reason: str) -> Attempt:
    return Attempt(candidate=None, accuracy=None, problem=problem, reason=reason)
