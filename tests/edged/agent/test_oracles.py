"""Oracles themselves: a real HTTP server, a real pool, and what may leave this machine."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from edged.agent.oracles.egress import Egress
from edged.agent.oracles.http import HttpOracle
from edged.agent.oracles.program import ProgramOracle
from edged.agent.oracles.protocol import OracleAway, OracleFailed, Question, QuestionRefused
from edged.agent.oracles.web import MAX_ANSWER_BYTES
from edged.agent.privacy.audit import AuditLog
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.modes import Mode
from edged.artifacts.archive import pack
from edged.datasets.layout import Layout
from edged.deployment.checking import HttpValidation, ProgramValidation
from edged.errors import ConfigInvalid, LogUnwritable
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.fakes.clock import FakeClock
from tests.fakes.http_oracle import HttpOracleServer

EXECUTION = "01a00000-0000-7000-8000-000000000000"
QUESTION = Question(
    task="spam", version=1, execution_id=EXECUTION, input_json=b'{"text": "mail a@b.example"}'
)


@pytest.fixture
async def server() -> AsyncIterator[HttpOracleServer]:
    async with HttpOracleServer(lambda _: "ham") as server:
        yield server


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "state").mkdir()
    return Layout(tmp_path)


@pytest.fixture
def make_oracle(layout):
    """Return a function that makes an oracle behind a filter of that mode."""

    def make(url: str, mode: Mode = Mode.BALANCED, **settings: object) -> HttpOracle:
        validation = HttpValidation(oracle="http", url=url, **settings)
        privacy = PrivacyFilter(mode, b"k" * 32)
        audit = AuditLog(layout, FakeClock())
        return HttpOracle(validation, Egress(url, lambda: privacy, audit))

    return make


@pytest.fixture
def off_machine(server) -> str:
    """The server at an address that is not loopback, though the kernel takes it for that."""
    return server.url.replace("127.0.0.1", "0.0.0.0")  # noqa: S104 nobody binds it


def audited(layout: Layout) -> list[dict]:
    files = sorted((layout.state / "audit").glob("*.jsonl"))
    return [orjson.loads(line) for path in files for line in path.read_bytes().split(b"\n")[:-1]]


async def ask(oracle: HttpOracle, question: Question = QUESTION):
    async with oracle:
        return await oracle.ask(question)


@pytest.mark.parametrize("mode", Mode)
async def test_an_oracle_on_this_machine_sees_the_whole_input(make_oracle, server, layout, mode):
    answer = await ask(make_oracle(server.url, mode, cost=0.01))

    assert (answer.output, answer.cost) == ("ham", 0.01)
    assert answer.latency_ms > 0
    assert server.questions[0]["input"] == {"text": "mail a@b.example"}
    assert audited(layout) == []


async def test_an_oracle_beyond_it_sees_a_filtered_input_and_that_is_written_down(
    make_oracle, server, off_machine, layout
):
    await ask(make_oracle(off_machine))

    assert server.questions[0]["input"] == {"text": "mail [EMAIL]"}
    [entry] = audited(layout)
    assert (entry["what"], entry["execution_id"]) == ("oracle_call", EXECUTION)
    assert len(entry["erased"]) == 1


async def test_strict_lets_no_input_leave(make_oracle, server, off_machine, layout):
    with pytest.raises(QuestionRefused, match="egress"):
        await ask(make_oracle(off_machine, Mode.STRICT))

    assert server.questions == []
    assert audited(layout) == []


async def test_what_the_filter_cannot_read_does_not_leave(make_oracle, server, off_machine):
    deep = b"[" * 500 + b"]" * 500
    question = Question(task="spam", version=1, execution_id=EXECUTION, input_json=deep)

    with pytest.raises(QuestionRefused):
        await ask(make_oracle(off_machine), question)

    assert server.questions == []


async def test_what_cannot_be_written_down_does_not_leave(make_oracle, server, off_machine, layout):
    (layout.state / "audit").write_text("a file where the folder should be")

    with pytest.raises(LogUnwritable):
        await ask(make_oracle(off_machine))

    assert server.questions == []


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, QuestionRefused),
        (413, QuestionRefused),
        (422, QuestionRefused),
        (429, OracleAway),
        (503, OracleAway),
        (500, OracleFailed),
        (404, OracleFailed),
        (302, OracleFailed),
        (204, OracleFailed),
    ],
)
async def test_a_status_says_whose_fault_it_is(make_oracle, server, status, error):
    server.failures = [status]

    with pytest.raises(error, match=str(status)):
        await ask(make_oracle(server.url))


async def test_nobody_listening_is_away(make_oracle, server):
    await server.stop()

    with pytest.raises(OracleAway, match="ConnectError"):
        await ask(make_oracle(server.url))


async def test_a_slow_answer_is_cut(make_oracle, server):
    server.delay_s = 5

    with pytest.raises(OracleFailed, match="no answer within 30 ms"):
        await ask(make_oracle(server.url, timeout_ms=30))


async def test_an_answer_without_end_is_cut(make_oracle, server):
    server.raw_answer = b" " * (MAX_ANSWER_BYTES + 1)

    with pytest.raises(OracleFailed, match="more than"):
        await ask(make_oracle(server.url))


async def test_null_is_an_answer(make_oracle, server):
    server.label = lambda _: None

    assert (await ask(make_oracle(server.url))).output is None


@pytest.mark.parametrize("cost", [-1, "1", True, [1]])
async def test_a_cost_must_be_a_number_of_dollars(make_oracle, server, cost):
    server.cost = cost

    with pytest.raises(OracleFailed, match="cost"):
        await ask(make_oracle(server.url))


@pytest.mark.parametrize("answer", [b"not json", b"{}", b'{"output": "ham", "cost": "free"}'])
async def test_an_answer_of_no_use_costs_as_much_as_another(make_oracle, server, answer):
    server.raw_answer = answer

    with pytest.raises(OracleFailed) as raised:
        await ask(make_oracle(server.url, cost=0.01))

    assert raised.value.cost == 0.01


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(PoolSettings(workers_per_version=1, max_workers=2)) as pool:
        yield pool


@pytest.fixture
def make_reference(tmp_path, make_artifact, pool):
    """Return a function that makes an oracle of a program's text."""

    def make(program: str, **fields: object) -> ProgramOracle:
        path = tmp_path / "reference.zip"
        path.write_bytes(pack(make_artifact(program, task="other", **fields)))
        return ProgramOracle("spam", ProgramValidation(oracle="program", artifact=path), pool)

    return make


async def test_a_reference_program_answers(make_reference):
    oracle = make_reference('def run(input_data):\n    return len(input_data["text"])\n')

    async with oracle:
        answers = await asyncio.gather(*(oracle.ask(QUESTION) for _ in range(20)))

    assert [answer.output for answer in answers] == [16] * 20
    assert {answer.cost for answer in answers} == {0.0}


async def test_a_reference_with_confidence_answers_without_it(make_reference):
    source = 'def run(input_data):\n    return {"output": "ham", "confidence": 0.5}\n'
    oracle = make_reference(source, returns_confidence=True)

    async with oracle:
        answer = await oracle.ask(QUESTION)

    assert answer.output == "ham"


async def test_an_input_on_which_the_reference_fails_is_refused(make_reference):
    oracle = make_reference('def run(input_data):\n    return input_data["absent"]\n')

    async with oracle:
        with pytest.raises(QuestionRefused, match="ERROR"):
            await oracle.ask(QUESTION)


async def test_a_reference_cannot_pass_for_a_lost_worker(make_reference):
    """Then it would be asked for ever."""
    program = (
        "class worker_lost(Exception):\n    pass\ndef run(input_data):\n    raise worker_lost\n"
    )
    oracle = make_reference(program)

    async with oracle:
        with pytest.raises(QuestionRefused):
            await oracle.ask(QUESTION)


async def test_a_missing_reference_is_one_clear_line(tmp_path, pool):
    settings = ProgramValidation(oracle="program", artifact=tmp_path / "absent.zip")

    with pytest.raises(
        ConfigInvalid, match=r"validation\.spam\.artifact .*: No such file"
    ) as caught:
        await ProgramOracle("spam", settings, pool).__aenter__()

    assert "\n" not in str(caught.value)


async def test_a_damaged_reference_is_one_clear_line(tmp_path, pool):
    path = tmp_path / "damaged.zip"
    path.write_bytes(b"not a zip")
    settings = ProgramValidation(oracle="program", artifact=path)

    with pytest.raises(ConfigInvalid, match="not a readable ZIP"):
        await ProgramOracle("spam", settings, pool).__aenter__()


async def test_a_refused_reference_is_one_clear_line(make_reference):
    oracle = make_reference("import os\nimport sys\ndef run(input_data):\n    return 1\n")

    with pytest.raises(ConfigInvalid, match=r"line 1.*; .*line 2") as caught:
        await oracle.__aenter__()

    assert "\n" not in str(caught.value)
