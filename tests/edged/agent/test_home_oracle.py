"""Home as oracle: questions go up once they are drawn, answers come down whenever they do."""

import asyncio
from contextlib import asynccontextmanager, suppress

import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.oracles.home import HomeDesk
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.hashing import KEY_BYTES
from edged.agent.privacy.modes import Mode
from edged.agent.sampling import sampling_salt
from edged.agent.validations import validation_id
from edged.agent.validators import Validators
from edged.deployment import Deployment
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog
from tests.fakes.validating import EVERYTHING, HASTY, is_followed_to_end, until

NOON = 1_795_435_200.0
FAILED = {"status": "error", "output_json": b"null", "error_type": "KeyError"}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOON)


@pytest.fixture
def executions(layout, clock):
    log = ExecutionLog(layout, clock)
    yield log
    log.close()


class Home:
    """The far end of a session: acknowledges what it is asked, keeps what came up."""

    def __init__(self, desk: HomeDesk) -> None:
        self._desk = desk
        self.refusal = ""
        self.questions: list[wire.OracleQuestion] = []
        self.receipts: list[str] = []

    async def take(self, message: wire.ConnectRequest) -> None:
        if message.WhichOneof("message") == "oracle_receipt":
            self.receipts.append(message.oracle_receipt.execution_id)
            return
        asked = message.oracle_question
        self.questions.append(asked)
        ack = wire.OracleQuestionAck(execution_id=asked.execution_id, refused=self.refusal)
        asyncio.get_running_loop().call_soon(self._desk.acknowledge, ack)

    async def answer(self, asked: wire.OracleQuestion, output: bytes) -> None:
        answer = wire.OracleAnswer(
            execution_id=asked.execution_id,
            task=asked.task,
            output_json=output,
            cost=0.002,
            latency_ms=86_400_000.0,
            answered_by="ann",
            channel=asked.channel,
            inclusion_probability=asked.inclusion_probability,
        )
        await self._desk.receive(answer)

    @asynccontextmanager
    async def connected(self):
        async with asyncio.TaskGroup() as tasks:
            session = tasks.create_task(self._desk.attend(self.take))
            await asyncio.sleep(0)  # it has begun
            yield
            session.cancel()


@pytest.fixture
def home():
    desk = HomeDesk()
    home = Home(desk)
    home.desk = desk
    return home


@asynccontextmanager
async def validating(layout, clock, home, mode=Mode.BALANCED, **fields):
    settings = {"oracle": "control_plane", **fields}
    deployment = Deployment.model_validate({"validation": {"spam": settings}})
    deployment = deployment.model_copy(update={"sampling": EVERYTHING})
    privacy, salt = PrivacyFilter(mode, b"k" * KEY_BYTES), sampling_salt(layout)
    validators = Validators(deployment, layout, lambda: privacy, salt, HASTY, clock, home.desk)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(validators.run())
        try:
            yield validators
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_an_answer_of_days_later_becomes_a_validation(layout, clock, home, executions):
    [execution_id] = executions.append(input_json=b'{"text": "mail a@b.example"}')

    async with validating(layout, clock, home) as validators, home.connected():
        await until(lambda: is_followed_to_end(executions))
        before = executions.validations()
        clock.advance(3 * 86_400)
        [asked] = home.questions
        await home.answer(asked, b'"spam"')
        await until(lambda: home.receipts)
        today = validators.status()["spam"]["today"]

    [line] = executions.validations()
    assert before == []
    assert asked.input_json == b'{"text":"mail [EMAIL]"}'
    assert len(asked.erased) == 1
    assert line["id"] == validation_id(execution_id, "control_plane")
    assert (line["output"], line["oracle_output"], line["match"]) == ("ham", "spam", False)
    assert (line["channel"], line["inclusion_probability"]) == ("audit", 1.0)
    assert (line["oracle_cost"], line["oracle_latency_ms"]) == (0.002, 86_400_000.0)
    assert line["input"] == {"text": "mail a@b.example"}
    assert today["cost_usd"] == 0.002
    assert home.receipts == [execution_id]


async def test_answers_do_not_hold_up_questions(layout, clock, home, executions):
    number = 3 * HASTY.window_samples
    executions.append(number)

    async with validating(layout, clock, home), home.connected():
        await until(lambda: len(home.questions) == number)

    assert executions.validations() == []


async def test_a_home_that_is_away_delays_and_drops_nothing(layout, clock, home, executions):
    ids = executions.append(5)

    async with validating(layout, clock, home) as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 3)
        problems = validators.problems()
        async with home.connected():
            await until(lambda: is_followed_to_end(executions))

    assert problems == ["task spam: its oracle does not answer"]
    assert sorted(asked.execution_id for asked in home.questions) == sorted(ids)


async def test_a_restart_asks_nothing_twice(layout, clock, home, executions):
    executions.append(5)
    async with validating(layout, clock, home), home.connected():
        await until(lambda: is_followed_to_end(executions))
    executions.append(2)

    async with validating(layout, clock, home), home.connected():
        await until(lambda: is_followed_to_end(executions))

    assert len({asked.execution_id for asked in home.questions}) == len(home.questions) == 7


async def test_strict_asks_nothing(layout, clock, home, executions):
    executions.append(3)

    async with validating(layout, clock, home, Mode.STRICT) as validators, home.connected():
        await until(lambda: is_followed_to_end(executions))

    assert home.questions == []
    assert validators.counts["spam"].skipped == {"refused": 3}


async def test_what_home_refuses_is_counted(layout, clock, home, executions):
    home.refusal = "no such task"
    executions.append(2)

    async with validating(layout, clock, home) as validators, home.connected():
        await until(lambda: is_followed_to_end(executions))

    assert validators.counts["spam"].skipped == {"refused": 2}


async def test_a_failed_execution_is_a_failure_once_home_has_answered(
    layout, clock, home, executions
):
    executions.append(**FAILED)

    async with validating(layout, clock, home), home.connected():
        await until(lambda: is_followed_to_end(executions))
        before = executions.validations()
        await home.answer(home.questions[0], b"null")
        await until(lambda: home.receipts)

    [line] = executions.validations()
    assert before == []
    assert (line["match"], line["oracle_output"], line["status"]) == (False, None, "error")


async def test_what_was_erased_while_home_was_away_is_not_asked(layout, clock, home, executions):
    erased, kept = executions.append(2)

    async with validating(layout, clock, home) as validators:
        await until(lambda: validators.counts["spam"].attempts_failed > 3)
        validators.forget_executions("spam", frozenset({erased}))
        async with home.connected():
            await until(lambda: is_followed_to_end(executions))

    assert [asked.execution_id for asked in home.questions] == [kept]
    assert validators.counts["spam"].skipped == {"erased": 1}


async def test_answers_that_are_of_no_use_are_done_with(layout, clock, home, executions):
    unknown = wire.OracleQuestion(execution_id=executions.next_id(), task="spam", channel="audit")
    other = wire.OracleQuestion(execution_id=executions.next_id(), task="other", channel="audit")
    [execution_id] = executions.append(1)
    broken = wire.OracleQuestion(execution_id=execution_id, task="spam", channel="audit")

    async with validating(layout, clock, home) as validators, home.connected():
        await home.answer(unknown, b'"ham"')
        await home.answer(other, b'"ham"')
        await home.answer(broken, b"ham")
        await until(lambda: len(home.receipts) == 3)

    assert validators.counts["spam"].skipped == {"unknown_execution": 1, "answer_unusable": 1}


async def test_an_answer_that_comes_twice_at_once_is_judged_once(layout, clock, home, executions):
    executions.append()

    async with validating(layout, clock, home), home.connected():
        await until(lambda: home.questions)
        for _ in range(3):
            await home.answer(home.questions[0], b'"ham"')
        await until(lambda: home.receipts)

    assert len(executions.validations()) == 1


async def test_the_budget_bounds_the_questions(layout, clock, home, executions):
    executions.append(3)
    executions.append(2, **FAILED)

    async with validating(layout, clock, home, budget_per_day=2) as validators, home.connected():
        await until(lambda: is_followed_to_end(executions))

    assert len(home.questions) == 2
    assert validators.counts["spam"].skipped == {"budget": 3}


async def test_a_question_says_no_more_of_erasures_than_home_keeps(layout, clock, home, executions):
    addresses = b", ".join([b'"a@b.co"'] * 1_000)
    executions.append(input_json=b'{"' + b"k" * 10_000 + b'": [' + addresses + b"]}")

    async with validating(layout, clock, home), home.connected():
        await until(lambda: home.questions)

    [asked] = home.questions
    assert (len(asked.erased), asked.erased[-1]) == (100, "and 901 more")
