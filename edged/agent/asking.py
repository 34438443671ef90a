"""Ask a task's oracle and its judge about samples, while that is permitted and can be afforded.

Runs in: the agent. Talks to: the oracle, the judge. Never: asks about what was erased, or forgets
what an answer cost that was of no use.
"""

from collections.abc import Awaitable, Callable, Container
from typing import Any, TypeVar

from edged.agent.checkpoints import Budget, Limits
from edged.agent.comparing import Compared, Comparing
from edged.agent.oracles.patience import Patience, Patient
from edged.agent.oracles.protocol import NotAsked, OracleFailed, Question, QuestionRefused
from edged.agent.validations import FAILED, Executed, ValidationCounts

Said = TypeVar("Said")


class Asking:
    """One task's. forgotten: ids of erased executions; it grows."""

    def __init__(
        self,
        task: str,
        budget: Budget,
        forgotten: Container[str],
        patience: Patience,
        counts: ValidationCounts,
        limits: Limits,
    ) -> None:
        self._task = task
        self._budget = budget
        self._forgotten = forgotten
        self._counts = counts
        self._oracle = Patient(patience, counts)
        self._judge = Patient(patience, counts)
        self._nobody = Patient(patience, counts)  # what needs no judge says nothing of how it fares
        self.limits = limits

    @property
    def is_well(self) -> bool:
        return self._oracle.is_well and self._judge.is_well

    def take(self) -> bool:
        """Spend one question of today's budget, unless that is spent."""
        return self._budget.take(self._task, self.limits)

    async def ask(self, question: Question, attempt: Callable[[], Awaitable[Said]]) -> Said | None:
        """Return what the oracle says, or None when this question will not get that far."""
        return await self._oracle.ask(question, lambda: self._attempt(question, attempt))

    async def compare(
        self, comparing: Comparing, executed: Executed, truth: Any
    ) -> Compared | None:
        """Return how an execution did, or None when the judge will not say.

        Whether there is a comparison must not depend on what it says: where the judge may not be
        asked there is none, also of outputs that are equal and of executions that failed.
        """
        question, output = executed.question, executed.output
        known = comparing.at_once(output, truth) if executed.is_success else FAILED

        async def attempt() -> Compared:
            comparing.check()
            if known is not None:
                return Compared(comparison=known)
            return await comparing.compare(question, output, truth)

        patient, is_free = self._judge if known is None else self._nobody, not comparing.asks_judge
        compared = await patient.ask(
            question, lambda: self._attempt(question, attempt, is_free=is_free)
        )
        if compared is not None:
            self.spend(compared.cost)
        return compared

    def spend(self, cost_usd: float, latency_ms: float = 0.0, *, answers: int = 0) -> None:
        """Note what was paid, whatever becomes of it."""
        self._budget.note(self._task, cost_usd=cost_usd, latency_ms=latency_ms, answers=answers)
        self._counts.spend(cost_usd, latency_ms, answers=answers)

    async def _attempt(
        self, question: Question, attempt: Callable[[], Awaitable[Said]], *, is_free: bool = False
    ) -> Said:
        # Much may have happened since the last attempt: an oracle may be down for days.
        if question.execution_id in self._forgotten:
            raise NotAsked(reason="erased")
        if not is_free and self._budget.is_cost_spent(self._task, self.limits):
            raise NotAsked(reason="budget")
        try:
            return await attempt()
        except (OracleFailed, QuestionRefused) as error:
            self.spend(error.cost)
            raise
