"""Run every strategy that fits the examples, keep the simplest that is as good as the best.

The rows that choose between strategies are not those that score the choice: the final program is
made from all open rows and then run once on the sealed rows, and what it scores there is what is
reported. It is never trained again after that, so the program scored is the program shipped.
A strategy that asks somebody (a language model) is asked once, on a part of the open rows, and is
compared with the others on the rest of them; its program is shipped as it is.

Runs in: jobs; training runs in a thread so that the process's loop lives. Talks to: generators,
the evaluator. Never: stores or publishes anything.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.generator.errors import CandidateRefused, NoCandidate, NothingProposed
from controlplane.generator.evaluator import Marks, evaluate
from controlplane.generator.intervals import simplest_as_good, wilson
from controlplane.generator.plan import Plan, plan_for
from controlplane.generator.progress import Progress
from controlplane.generator.protocol import (
    AskingGenerator,
    Candidate,
    Example,
    Exchange,
    Generator,
    ProgramRunner,
    TaskBrief,
)
from controlplane.generator.self_test import self_test_of

# What was asked for comes last: made again it would be another program, and it was judged on fewer
# rows, so it has to be better by more than chance.
SIMPLEST_FIRST = ("rule", "dsl", "ml", "hybrid", "llm")

AnyGenerator = Generator | AskingGenerator


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
    """A program that may be shipped, and how good it is."""

    candidate: Candidate
    strategy: str  # the one that made it; a key of scores
    scores: dict[str, dict[str, Any]]  # by strategy: accuracy, n, interval, rows, …; or reason
    confidence_score: float  # lower end of the interval
    interval: tuple[float, float]  # 95 %, of the accuracy on rows that made or chose nothing
    n_sealed: int  # 0: too few examples to seal any
    is_low_evidence: bool  # scored by cross-validation, which also chose
    self_test: tuple[Example, ...]  # outputs are the program's own, right or wrong
    exchanges: tuple[Exchange, ...] = ()  # with models, of whichever strategy was chosen

    @property
    def cost_usd(self) -> float:
        """What was paid to models, also for programs that were not chosen."""
        return sum(exchange.cost_usd for exchange in self.exchanges)


async def generate(
    task: TaskBrief,
    examples: Sequence[Example],
    generators: Sequence[AnyGenerator],
    runner: ProgramRunner,
    report: Callable[[str, float], None],
) -> Generation:
    """Return the program to ship, scored. Raises NoCandidate.

    report: called in this task with "training" or "evaluating" and the finished fraction of all.
    """
    suited, reasons = await asyncio.to_thread(_suited, task, examples, generators)
    if not suited:
        raise NoCandidate(reasons=reasons)
    plan = await asyncio.to_thread(plan_for, examples)
    contest = _Contest(task, examples, plan, runner, Progress(report, suited, plan))
    marks: dict[str, list[Marks]] = {}
    for generator in suited:
        try:
            marks[generator.strategy] = await contest.try_out(generator)
        except (CandidateRefused, NothingProposed) as refused:
            reasons[generator.strategy] = str(refused)
    return await _best(contest, marks, reasons)


class _Contest:
    """One generation under way: its rows, and where its programs run."""

    def __init__(
        self,
        task: TaskBrief,
        examples: Sequence[Example],
        plan: Plan,
        runner: ProgramRunner,
        progress: Progress,
    ) -> None:
        self.plan = plan
        self.asked: dict[str, Candidate] = {}  # by strategy: proposed once, shipped as it is
        self.exchanges: list[Exchange] = []
        self._trained: dict[str, Generator] = {}
        self._task = task
        self._examples = examples
        self._runner = runner
        self._progress = progress

    def rows(self, indices: Sequence[int]) -> list[Example]:
        return [self._examples[index] for index in indices]

    async def try_out(self, generator: AnyGenerator) -> list[Marks]:
        """Return the marks of each trial. Raises CandidateRefused, NothingProposed."""
        if isinstance(generator, AskingGenerator):
            return await self._try_asking(generator)
        self._trained[generator.strategy] = generator
        found = []
        for trial in self.plan.trials:
            candidate = await self._propose(generator, trial.training)
            found.append(await self.evaluate(candidate, trial.choosing))
        return found

    async def final(self, strategy: str) -> Candidate:
        """Return the program to ship if this strategy is chosen."""
        if strategy in self.asked:
            return self.asked[strategy]
        return await self._propose(self._trained[strategy], self.plan.open)

    async def _propose(self, generator: Generator, indices: Sequence[int]) -> Candidate:
        rows = self.rows(indices)
        with self._progress.step("training", generator.strategy, len(rows)) as report:
            return await asyncio.to_thread(generator.propose, self._task, rows, report)

    async def _try_asking(self, generator: AskingGenerator) -> list[Marks]:
        training, trials = self.plan.once
        rows = self.rows(training)
        with self._progress.step("training", generator.strategy, len(rows)) as report:
            try:
                candidate = await generator.ask(self._task, rows, self._runner, report)
            except NothingProposed as failure:
                self.exchanges += failure.exchanges
                raise
        self.exchanges += candidate.exchanges
        self.asked[generator.strategy] = candidate
        return [await self.evaluate(candidate, trial.choosing) for trial in trials]

    async def evaluate(self, candidate: Candidate, indices: Sequence[int]) -> Marks:
        with self._progress.step("evaluating", candidate.strategy, len(indices)) as report:
            return await evaluate(candidate, self.rows(indices), self._runner, report)


def _suited(
    task: TaskBrief, examples: Sequence[Example], generators: Sequence[AnyGenerator]
) -> tuple[list[AnyGenerator], dict[str, str]]:
    reasons = {each.strategy: each.unsuited(task, examples) for each in generators}
    suited = [each for each in generators if reasons[each.strategy] is None]
    suited.sort(key=lambda each: SIMPLEST_FIRST.index(each.strategy))
    return suited, {strategy: reason for strategy, reason in reasons.items() if reason}


async def _best(
    contest: _Contest, marks: dict[str, list[Marks]], reasons: dict[str, str]
) -> Generation:
    """Make the chosen strategy's final program; the next best when the sandbox refuses it."""
    while marks:
        chosen = _simplest(marks, contest.asked)
        try:
            candidate = await contest.final(chosen)
            sealed = await contest.evaluate(candidate, contest.plan.sealed or contest.plan.open)
        except CandidateRefused as refused:
            reasons[chosen] = str(refused)
            del marks[chosen]
            continue
        return _generation(contest, chosen, candidate, marks, sealed, reasons)
    raise NoCandidate(reasons=reasons, exchanges=contest.exchanges)


def _simplest(marks: Mapping[str, Sequence[Marks]], asked: Collection[str]) -> str:
    """Choose among the trained on all trials; who was asked then meets the winner on its own."""
    trained = {name: _flat(own) for name, own in marks.items() if name not in asked}
    champion = simplest_as_good(trained) if trained else None
    for name in (name for name in marks if name in asked):
        own = {name: _flat(marks[name])}
        if champion is not None:
            own = {champion: _flat(marks[champion][: len(marks[name])])} | own
        champion = simplest_as_good(own)
    assert champion is not None  # noqa: S101 # marks are not empty
    return champion


def _generation(
    contest: _Contest,
    chosen: str,
    candidate: Candidate,
    marks: Mapping[str, list[Marks]],
    final: Marks,
    reasons: Mapping[str, str],
) -> Generation:
    """final: of the candidate on the sealed rows; on the open rows when none are sealed."""
    plan = contest.plan
    rounds = {name: 1 if name in contest.asked else plan.rounds for name in marks}
    scores = {name: _score(own, rounds[name], "choosing") for name, own in marks.items()}
    scores |= {name: {"reason": reason} for name, reason in reasons.items()}
    if plan.sealed:
        final_score = _score([final], 1, "sealed")
    else:
        final_score = _score(marks[chosen], rounds[chosen], "cross-validation")
    scores[chosen]["final"] = final_score
    low, high = final_score["interval"]
    return Generation(
        candidate=candidate,
        strategy=chosen,
        scores=scores,
        confidence_score=low,
        interval=(low, high),
        n_sealed=len(plan.sealed),
        is_low_evidence=plan.is_low_evidence,
        self_test=self_test_of(contest.rows(plan.sealed or plan.open), final.runs),
        exchanges=tuple(contest.exchanges),
    )


def _flat(marks: Sequence[Marks]) -> list[bool]:
    return [right for each in marks for right in each.right]


def _score(marks: Sequence[Marks], rounds: int, rows: str) -> dict[str, Any]:
    """Return one score in plain JSON. Repeated rows count once: n is of different rows."""
    answers = _flat(marks)
    accuracy = sum(answers) / len(answers)
    n = len(answers) // rounds
    return {
        "accuracy": round(accuracy, 6),
        "n": n,
        "interval": [round(end, 6) for end in wilson(accuracy * n, n)],
        "rows": rows,
        "failures": sum(each.failures for each in marks),
        "run_ms_p50": round(max(each.run_ms_p50 for each in marks), 4),
        "run_ms_p99": round(max(each.run_ms_p99 for each in marks), 4),
    }
