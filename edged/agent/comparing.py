"""Compare an output with the truth as a task's `comparison` says, by a judge where it needs one.

Runs in: the agent. Talks to: the judge, of method semantic. Never: asks a judge about values that
are equal anyway.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edged.agent.oracles.protocol import Judge, Question
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.contract.compare import Comparer, Comparison, Exact, Fuzzy, without
from edged.deployment.asking import Anthropic
from edged.deployment.comparing import Comparison as Settings
from edged.deployment.comparing import EmbeddingJudge, HttpJudge


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A comparison and what it cost, in US dollars."""

    comparison: Comparison
    cost: float = 0.0


class Comparing(Protocol):
    """One task's way to compare."""

    @property
    def asks_judge(self) -> bool:
        """Say whether values may be shown to a judge, and cost something."""

    def check(self) -> None:
        """Raise QuestionRefused while the judge may be shown nothing."""

    def at_once(self, output: Any, truth: Any) -> Comparison | None:
        """Return what needs no judge."""

    async def compare(self, question: Question, output: Any, truth: Any) -> Compared:
        """Raise OracleAway, OracleFailed or QuestionRefused where a judge did not answer."""

    async def close(self) -> None: ...


class Plain:
    """By values alone."""

    asks_judge: Final = False

    def __init__(self, comparer: Comparer) -> None:
        self._comparer = comparer

    def check(self) -> None:
        """Nobody is shown anything."""

    def at_once(self, output: Any, truth: Any) -> Comparison | None:
        return self._comparer.compare(output, truth)

    async def compare(self, question: Question, output: Any, truth: Any) -> Compared:  # noqa: ARG002 the judged need it
        return Compared(comparison=self._comparer.compare(output, truth))

    async def close(self) -> None:
        """Nothing is open."""


class Semantic:
    """By meaning."""

    asks_judge: Final = True

    def __init__(self, judge: Judge, exact: Exact, threshold: float) -> None:
        self._judge = judge
        self._exact = exact
        self._threshold = threshold

    def check(self) -> None:
        self._judge.check()

    def at_once(self, output: Any, truth: Any) -> Comparison | None:
        if self._exact.compare(output, truth).match:
            return Comparison(match=True, similarity=1.0, method="semantic")
        return None

    async def compare(self, question: Question, output: Any, truth: Any) -> Compared:
        same = self.at_once(output, truth)
        if same is not None:
            return Compared(comparison=same)
        ignore = self._exact.ignore
        judged = await self._judge.judge(question, without(output, ignore), without(truth, ignore))
        comparison = Comparison(
            match=judged.similarity >= self._threshold,
            similarity=judged.similarity,
            method="semantic",
        )
        return Compared(comparison=comparison, cost=judged.cost)

    async def close(self) -> None:
        await self._judge.close()


def comparing_of(
    settings: Settings,
    anthropic: Anthropic,
    privacy: Callable[[], PrivacyFilter],
    audit: AuditLog,
) -> Comparing:
    """privacy: returns the filter in force."""
    ignore = frozenset(settings.ignore)
    if settings.method == "semantic":
        exact = Exact(ignore=ignore, tolerance=settings.tolerance)
        return Semantic(_judge(settings, anthropic, privacy, audit), exact, settings.threshold)
    if settings.method == "fuzzy":
        return Plain(
            Fuzzy(threshold=settings.threshold, ignore=ignore, tolerance=settings.tolerance)
        )
    return Plain(Exact(ignore=ignore, tolerance=settings.tolerance))


def _judge(
    settings: Settings,
    anthropic: Anthropic,
    privacy: Callable[[], PrivacyFilter],
    audit: AuditLog,
) -> Judge:
    # An HTTP client, for those who ask one.
    from edged.agent.oracles.egress import Egress
    from edged.agent.oracles.judges import ByEmbedding, ByHttp, ByModel
    from edged.agent.oracles.messages import Messages

    judge = settings.judge
    if isinstance(judge, HttpJudge):
        return ByHttp(judge, Egress(judge.url, privacy, audit))
    if isinstance(judge, EmbeddingJudge):
        return ByEmbedding(judge, Egress(judge.url, privacy, audit))
    messages = Messages(anthropic)
    return ByModel(messages, Egress(messages.url, privacy, audit))
