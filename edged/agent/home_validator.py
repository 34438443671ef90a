"""One task's samples that home judges: asked as they are drawn, written down as answers come.

Runs in: the agent. Talks to: home by the link, the execution log, the validation log. Never: holds
up new questions for answers that take days.
"""

import asyncio
from collections.abc import Awaitable, Callable

import orjson
import structlog
from loopai.control.v1 import link_pb2 as wire

from edged.agent.checkpoints import Checkpoint
from edged.agent.oracles.home import MAX_ANSWERS, HomeDesk, HomeQuestions, output_of
from edged.agent.sampling import TaskSampler
from edged.agent.validations import Executed, Validation, ValidationLog
from edged.agent.validator import Examiner, TaskValidator, ValidatorSettings
from edged.datasets.layout import Layout
from edged.datasets.lookup import find_lines
from edged.decisions.sampling import Channel, Sample

log = structlog.get_logger()
Done = Callable[[], Awaitable[None]]
CHANNELS = {channel.value: channel for channel in Channel}


class HomeValidator(TaskValidator):
    """A validator whose answers come by themselves."""

    def __init__(
        self,
        task: str,
        layout: Layout,
        examiner: Examiner,
        sampler: TaskSampler,
        checkpoint: Checkpoint,
        validations: ValidationLog,
        settings: ValidatorSettings,
        questions: HomeQuestions,
        desk: HomeDesk,
    ) -> None:
        super().__init__(task, layout, examiner, sampler, checkpoint, validations, settings)
        self._questions = questions
        self._answers: asyncio.Queue[tuple[wire.OracleAnswer, Done]] = asyncio.Queue(MAX_ANSWERS)
        self._held: set[str] = set()  # executions whose answers are in the queue
        desk.takers[task] = self

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(super().run())
            tasks.create_task(self._judge_answers())

    def take(self, answer: wire.OracleAnswer, done: Done) -> None:
        # Home, which has no receipt, sends again what finds no room, and what is long under way.
        if answer.execution_id not in self._held and not self._answers.full():
            self._held.add(answer.execution_id)
            self._answers.put_nowait((answer, done))

    async def _validate(self, executed: Executed, sample: Sample) -> Validation | None:
        question = executed.question
        await self._asking.ask(question, lambda: self._questions.submit(executed, sample))
        return None

    async def _judge_answers(self) -> None:
        while True:
            answer, done = await self._answers.get()
            try:
                validation = await self._validation(answer)
            except Exception as error:  # noqa: BLE001 one answer's trouble is not the others'
                log.warning("answer_unusable", task=self._task, reason=type(error).__name__)
                self.counts.skip("answer_unusable")
                validation = None
            if validation is not None:
                await self._append(validation)
                await self._make_durable()
            await done()
            self._held.discard(answer.execution_id)

    async def _validation(self, answer: wire.OracleAnswer) -> Validation | None:
        ids = [answer.execution_id]
        lines = await asyncio.to_thread(find_lines, self._layout, self._task, ids)
        line = lines.get(answer.execution_id)
        if line is None:
            self.counts.skip("unknown_execution")  # no longer kept
            return None
        executed, truth = Executed.of(orjson.loads(line)), output_of(answer)
        self._asking.spend(answer.cost, answer.latency_ms, answers=1)
        compared = await self._asking.compare(self._examiner.comparing, executed, truth)
        if compared is None:
            return None
        return Validation(
            executed=executed,
            oracle=self._questions.name,
            truth=truth,
            cost=answer.cost + compared.cost,
            latency_ms=answer.latency_ms,
            comparison=compared.comparison,
            channel=CHANNELS[answer.channel].value,
            inclusion=answer.inclusion_probability,
        )

    async def _make_durable(self) -> None:
        """Home forgets the answer with its receipt: the line has to survive a power loss before."""
        attempt = 0
        while True:
            try:
                self._validations.sync()
            except OSError as error:
                log.warning("validation_not_durable", task=self._task, reason=error.strerror)
            else:
                return
            await self._settings.patience.wait(attempt)
            attempt += 1
