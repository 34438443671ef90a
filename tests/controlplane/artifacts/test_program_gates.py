"""The gates with a real pool: programs run in jailed workers, as at an edge."""

import pytest

from controlplane.artifacts.draft import DraftTask
from controlplane.artifacts.gate import Gate, Program, Trial
from controlplane.artifacts.uploads import Upload, Uploads
from controlplane.errors import ArtifactRefused
from edged.artifacts.archive import SelfTest, pack
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings

SHOUT = "def run(input_data):\n    return input_data['text'].upper()\n"
ENUM = {"enum": ["A", "B"]}
SAMPLES = (SelfTest(input={"text": "a"}, output="A"), SelfTest(input={"text": "b"}, output="x"))


@pytest.fixture
async def gate():
    async with Pool(PoolSettings(workers_per_version=1, max_workers=2)) as pool:
        yield Gate(pool)


@pytest.fixture
def uploads(gate):
    return Uploads(gate)


def upload(content, samples=SAMPLES, output_schema=ENUM):
    task = DraftTask(
        id="t",
        organisation_id="default",
        name="shout",
        description="",
        revision=3,
        input_schema={"required": ["text"]},
        output_schema=output_schema,
    )
    return Upload(content=content, task=task, samples=samples, returns_confidence=False)


def program(source, **fields):
    return Program(source=source, returns_confidence=False, **fields)


async def refusal(awaitable):
    with pytest.raises(ArtifactRefused) as refused:
        await awaitable
    return refused.value.facts


async def test_program_of_text_is_tried_on_the_tasks_examples(uploads):
    draft = await uploads.check(upload(SHOUT.encode()))

    assert [test.output for test in draft.self_tests] == ["A", "B"]
    assert draft.scores == {"stored_examples": {"tried": 2, "agreed": 1}}
    assert (draft.origin, draft.confidence_score) == ("uploaded", 0.0)


async def test_forbidden_text_is_refused_with_line_and_column(gate):
    source = "def run(input_data):\n    return open('/etc/passwd').read()\n"

    facts = await refusal(gate.check_policy(program(source)))

    assert (facts["gate"], facts["line"]) == ("policy", 2)
    assert facts["column"] >= 1


async def test_text_that_is_no_python_is_refused(gate):
    facts = await refusal(gate.check_policy(program("def run(input_data:\n")))

    assert facts["gate"] == "policy"


async def test_program_that_fails_on_an_example_is_refused(gate):
    source = "def run(input_data):\n    return 1 / 0\n"

    facts = await refusal(gate.check(program(source), [Trial(input={})], {}))

    assert facts["gate"] == "self-test"
    assert "ZeroDivisionError" in facts["reason"]


async def test_program_that_never_ends_is_refused(gate):
    source = "def run(input_data):\n    while True:\n        pass\n"

    facts = await refusal(gate.check(program(source), [Trial(input={})], {}))

    assert "TIMEOUT" in facts["reason"]


async def test_program_that_is_slow_on_every_example_is_refused_as_a_whole():
    source = (
        "def run(input_data):\n    total = 0\n    for number in range(300000):\n"
        "        total += number\n    return total\n"
    )
    async with Pool(PoolSettings(workers_per_version=1, max_workers=2)) as pool:
        gate = Gate(pool, trials_limit_s=0.2)

        facts = await refusal(gate.check(program(source), [Trial(input={})] * 1_000, {}))

    assert "1000 examples" in facts["reason"]


async def test_output_that_breaks_the_schema_is_refused_with_its_field(uploads):
    facts = await refusal(uploads.check(upload(SHOUT.encode(), output_schema={"type": "number"})))

    assert (facts["gate"], facts["field"]) == ("schema", "output")


async def test_archive_must_reproduce_its_own_examples(uploads, make_artifact):
    good = make_artifact(SHOUT, self_tests=SAMPLES[:1])
    bad = make_artifact(SHOUT, self_tests=SAMPLES)

    draft = await uploads.check(upload(pack(good)))
    facts = await refusal(uploads.check(upload(pack(bad))))

    assert draft.task.revision == 3
    assert draft.self_tests == SAMPLES[:1]
    assert (facts["gate"], facts["reason"][:9]) == ("self-test", "example 2")


async def test_archive_whose_examples_break_the_tasks_input_schema_is_refused(
    uploads, make_artifact
):
    tests = (SelfTest(input={"other": "a"}, output="A"),)

    facts = await refusal(uploads.check(upload(pack(make_artifact(SHOUT, self_tests=tests)))))

    assert facts["gate"] == "schema"


@pytest.mark.parametrize("content", [b"PK\x03\x04 broken", b"\xff\xfe\x00"])
async def test_what_is_neither_zip_nor_text_is_refused(uploads, content):
    assert (await refusal(uploads.check(upload(content))))["gate"] == "archive"
