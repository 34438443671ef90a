"""A task given to another interpreter: served by it, or refused with its reason."""

import pytest

from edged.agent.store import ArtifactStore
from edged.artifacts.archive import SelfTest, pack
from edged.datasets.layout import Layout
from edged.decisions.routing import Arm, Route
from edged.gateway.preparing import Preparer, SelfTestFailed, reason_of
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from edged.pool.values import Placement
from edged.sandbox.backend import Backend
from edged.sandbox.refusals import ProgramRefused

GOOD = 'def run(input_data):\n    return input_data["text"].upper()\n'
WITH_CLASS = "class Shout:\n    pass\n\n\n" + GOOD
# What monty answers to this is not what Python answers, which the artifact's examples hold.
DIFFERS = (
    "import sys\n\n\ndef run(input_data):\n"
    '    return "other" if "Monty" in sys.version else input_data["text"].upper()\n'
)


@pytest.fixture
def prepare(tmp_path, make_artifact):
    """Return a function that activates a program for a task that runs on monty."""
    layout = Layout(tmp_path)
    examples = (SelfTest(input={"text": "hi"}, output="HI"),)
    placements = {"shout": Placement(backend=Backend.MONTY)}

    async def prepare(program: str) -> None:
        stored = ArtifactStore(layout).add(pack(make_artifact(program, self_tests=examples)))
        route = Route(arms=(Arm(name="stable", version=1, digest=stored.digest),))
        async with Pool(PoolSettings(has_monty=True)) as pool:
            await Preparer(layout, pool, {}, placements).prepare("shout", route)

    return prepare


async def test_a_program_that_monty_runs_passes_its_self_tests(prepare):
    await prepare(GOOD)


async def test_a_program_that_monty_cannot_run_is_refused_with_the_reason(prepare):
    with pytest.raises(ProgramRefused) as refused:
        await prepare(WITH_CLASS)

    assert "class definitions" in reason_of(refused.value)
    assert "backend python" in reason_of(refused.value)


async def test_a_program_that_answers_otherwise_on_monty_is_refused(prepare):
    with pytest.raises(SelfTestFailed) as refused:
        await prepare(DIFFERS)

    assert "another output" in reason_of(refused.value)
