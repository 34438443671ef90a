"""Ask an oracle until it answers: it may be down for days, and nothing is lost by that.

Runs in: the agent. Talks to: one oracle. Never: takes an oracle's failure for a question's.

An oracle that does not answer is asked again for as long as it takes. A question is given up only
when the oracle failed on it `give_up_attempts` times while it answered as many others: then it is
the question, and the others shall not wait behind it for ever. Or when `paid_attempts` answers of
no use were paid for: an oracle that is down takes no money.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog

from edged.agent.oracles.protocol import (
    NotAsked,
    OracleAway,
    OracleFailed,
    Question,
    QuestionRefused,
)
from edged.agent.validations import ValidationCounts
from edged.decisions.backoff import full_jitter_s
from edged.errors import LogUnwritable

log = structlog.get_logger()
Said = TypeVar("Said")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much is asked at once, and how often again."""

    asks_at_once: int = 8
    """Few enough for a customer's endpoint, enough to hide its latency."""
    backoff_base_s: float = 0.5
    backoff_cap_s: float = 30.0
    give_up_attempts: int = 8
    """About 45 s of attempts: longer than an ordinary restart of an oracle."""
    paid_attempts: int = 3
    """Answers of no use that one question may cost; a fourth is seldom better."""

    async def wait(self, attempt: int) -> None:
        """Sleep before attempt number `attempt`, counted from 0; exponential with full jitter."""
        delay_s = full_jitter_s(attempt, base_s=self.backoff_base_s, cap_s=self.backoff_cap_s)
        await asyncio.sleep(delay_s)


class Patient:
    """Asks one task's oracle, or its judge, and knows how that one fares."""

    def __init__(self, patience: Patience, counts: ValidationCounts) -> None:
        self._patience = patience
        self._counts = counts
        self._asking = asyncio.Semaphore(patience.asks_at_once)  # never held while backing off
        self._answered = 0
        self.is_well = True

    async def ask(self, question: Question, attempt: Callable[[], Awaitable[Said]]) -> Said | None:
        """Return what an attempt returned, or None when this question will not get that far."""
        failures = paid = number = 0
        answered_before = self._answered
        while not self._is_hopeless(failures, self._answered - answered_before, paid):
            try:
                async with self._asking:
                    said = await attempt()
            except NotAsked as error:
                self._counts.skip(str(error))
                return None
            except QuestionRefused as error:
                log.info("question_refused", task=question.task, reason=str(error))
                self._counts.skip("refused")
                return None
            except (OracleAway, LogUnwritable) as error:
                self._note_failure(question, error)
            except Exception as error:  # noqa: BLE001 an oracle may fail in ways of its own
                self._note_failure(question, error)
                failures += 1
                paid += isinstance(error, OracleFailed) and error.cost > 0
            else:
                self._note_answer(question)
                return said
            await self._patience.wait(number)
            number += 1
        log.warning("question_given_up", task=question.task, execution_id=question.execution_id)
        self._counts.skip("given_up")
        return None

    def _is_hopeless(self, failures: int, answered_others: int, paid: int) -> bool:
        patience = self._patience
        is_outlier = min(failures, answered_others) >= patience.give_up_attempts
        return is_outlier or paid >= patience.paid_attempts

    def _note_answer(self, question: Question) -> None:
        self._answered += 1
        if not self.is_well:
            self.is_well = True
            log.info("oracle_answers_again", task=question.task)

    def _note_failure(self, question: Question, error: Exception) -> None:
        self._counts.attempts_failed += 1
        if self.is_well:
            self.is_well = False
            reason = f"{type(error).__name__}: {error}"
            log.warning("oracle_failing", task=question.task, reason=reason)
