"""The `llm` strategy: a language model writes the program and repairs it by what it got wrong.

Ask, try on rows that may be shown, tell what failed, at most twice; keep the best. What it is worth
is not decided here: the portfolio runs it on rows that this strategy never had.
Runs in: jobs. Talks to: the model, and a runner. Never: fails a generation; the others go on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from controlplane.generator.errors import NothingProposed
from controlplane.generator.llm_attempt import Attempt, attempt
from controlplane.generator.llm_model import ERROR, REFUSAL, LlmModel
from controlplane.generator.llm_prompt import Prompt, first_prompt, repair_messages
from controlplane.generator.llm_settings import LlmSettings
from controlplane.generator.protocol import (
    Candidate,
    Example,
    Exchange,
    ProgramRunner,
    TaskBrief,
)
from controlplane.generator.table import MIN_EXAMPLES, canonical


class LlmGenerator:
    """Proposes what the model of the settings writes."""

    strategy = "llm"

    def __init__(self, settings: LlmSettings) -> None:
        self._settings = settings

    def unsuited(self, task: TaskBrief, examples: Sequence[Example]) -> str | None:  # noqa: ARG002 # the protocol's
        if not self._settings.api_key:
            return "no API key for a language model is configured"
        if self._settings.known_price is None:
            return (
                f"no price is known for the model {self._settings.model}, so its cost could not "
                "be bounded: configure one"
            )
        different = len({canonical(example.input) for example in examples})
        if different < MIN_EXAMPLES:
            return f"too few examples: {different} different inputs, {MIN_EXAMPLES} are the least"
        return None

    async def ask(
        self,
        task: TaskBrief,
        examples: Sequence[Example],
        runner: ProgramRunner,
        report: Callable[[float], None],
    ) -> Candidate:
        price = self._settings.known_price
        if price is None:
            raise NothingProposed(reason=f"no price is known for {self._settings.model}")
        async with LlmModel(self._settings, price) as model:
            writing = _Writing(task, examples, runner, model, self._settings)
            return await writing.run(report)


class _Writing:
    """One program under way."""

    def __init__(
        self,
        task: TaskBrief,
        examples: Sequence[Example],
        runner: ProgramRunner,
        model: LlmModel,
        settings: LlmSettings,
    ) -> None:
        self._task = task
        self._examples = examples
        self._runner = runner
        self._model = model
        self._settings = settings
        self._prompt: Prompt = first_prompt(task, examples)
        self._exchanges: list[Exchange] = []
        self._best: Attempt | None = None

    async def run(self, report: Callable[[float], None]) -> Candidate:
        """Raises NothingProposed."""
        messages: Sequence[Mapping[str, str]] = [{"role": "user", "content": self._prompt.question}]
        stop = "no round was left"
        for number in range(1 + self._settings.repair_rounds):
            failure = await self._ask(number, messages)
            if failure:
                stop = failure
                break
            tried = await self._attempt()
            report((number + 1) / (1 + self._settings.repair_rounds))
            if not tried.is_better_than(self._best):
                stop = "the last repair was no gain"
                break
            self._best = tried
            if tried.is_perfect:
                stop = "all is right"
                break
            messages = repair_messages(self._prompt, self._exchanges[-1].answer, tried.problem)
        return self._candidate(stop)

    async def _ask(self, number: int, messages: Sequence[Mapping[str, str]]) -> str:
        """Ask once more; return why there is no answer to use, empty when there is one."""
        spent = sum(exchange.cost_usd for exchange in self._exchanges)
        worst = self._model.worst_cost_usd(self._prompt.system, messages)
        if spent + worst > self._settings.budget_usd:
            return (
                f"the budget of {self._settings.budget_usd:g} $ does not cover a further question: "
                f"{spent:.4f} $ are spent and it may cost {worst:.4f} $"
            )
        purpose = f"repair {number}" if number else "write"
        exchange = await self._model.ask(
            purpose, self._prompt.variant, self._prompt.system, messages
        )
        self._exchanges.append(exchange)
        if exchange.stop_reason == ERROR:
            return exchange.error
        return "the model declined to answer" if exchange.stop_reason == REFUSAL else ""

    async def _attempt(self) -> Attempt:
        return await attempt(
            self._exchanges[-1], self._examples, self._runner, self._task.latency_target_ms
        )

    def _candidate(self, stop: str) -> Candidate:
        best = self._best
        if best is None or best.candidate is None:
            reason = stop if best is None else f"{best.reason}; {stop}"
            raise NothingProposed(reason=reason, exchanges=self._exchanges)
        repairs = len(self._exchanges) - 1
        return replace(
            best.candidate,
            explanation=(
                f"Written by {self._settings.model} from the specification and "
                f"{len(self._examples)} examples ({best.reason}), {repairs} repairs asked for; "
                f"ended because {stop}."
            ),
            exchanges=tuple(self._exchanges),
        )
