"""In strict mode no byte of an input or output goes home, whatever happens; the estimate does.

Every byte on its way home is heard by a plain listener in between, and looked at twice: as it came,
and unpacked.
"""

import asyncio
import base64
import secrets
from contextlib import ExitStack, asynccontextmanager
from datetime import UTC, datetime
from itertools import count

import orjson
import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent.applier import Applier
from edged.agent.batches import BatchFolder
from edged.agent.decisions_log import DecisionLog
from edged.agent.download import Downloads
from edged.agent.erasures import Erasures
from edged.agent.home_settings import HomeSettings
from edged.agent.identity import IdentityFile
from edged.agent.link import Link, LinkSettings
from edged.agent.privacy.modes import Mode
from edged.agent.rollouts import Rollouts
from edged.agent.session import Parts
from edged.agent.shadow import Shadow
from edged.agent.states import States
from edged.agent.store import ArtifactStore
from edged.agent.telemetry import Batcher
from edged.artifacts.archive import pack
from edged.datasets.records import Execution, render
from edged.datasets.writer import LogWriter
from edged.deployment import Deployment
from edged.deployment.telling import Telemetry
from edged.pool.pool import Pool
from edged.pool.settings import PoolSettings
from tests.fakes.gateway import FakeGateway
from tests.fakes.home import FakeHome
from tests.fakes.tap import Tap

LABELS = {"enum": ["spam", "ham"]}


@pytest.fixture
def marker() -> str:
    """Text that occurs nowhere by chance."""
    return "marker" + secrets.token_hex(12)


@pytest.fixture
def write(layout, clock):
    """Return a function that writes one execution and its validation, both full of the marker."""
    executions = LogWriter(layout, "executions", clock)
    validations = LogWriter(layout, "validations", clock, prefix="sampled-")
    numbers = count()

    def write(task: str, marker: str, *, output: object, truth: object, **fields: object) -> None:
        execution_id = f"0190163d-8694-739b-aea5-966c26f8ad{next(numbers):02x}"
        given = orjson.dumps({"text": marker, marker: [marker]})
        execution = Execution(
            execution_id=execution_id,
            task=task,
            version=1,
            arm="stable",
            input_json=given,
            output_json=orjson.dumps(output),
            latency_ms=1.0,
            routing_key=marker,
            **fields,
        )
        executions.append(task, [render(execution, "2026-01-01T00:00:00.000Z")])
        line = {
            "id": "0190163d-8694-739b-aea5-966c26f8ad92",
            "execution_id": execution_id,
            "program_id": None,
            "oracle_output": truth,
            "oracle_cost": 0.0,
            "oracle_latency_ms": 1.0,
            "match": output == truth,
            "similarity_score": float(output == truth),
            "comparison_method": "exact",
            "validated_at": "2026-01-01T00:00:00.000Z",
            "oracle": "http",
            "channel": "audit",
            "inclusion_probability": 0.05,
            "task": task,
            "version": 1,
            "arm": "stable",
            "input": orjson.loads(given),
            "output": output,
            "confidence": None,
            "status": execution.status,
            "executed_at": "2026-01-01T00:00:00.000Z",
        }
        validations.append(task, [orjson.dumps(line) + b"\n"])

    yield write
    executions.close()
    validations.close()


@pytest.fixture
def run(layout, clock, make_releaser, recorder, tmp_path):
    """Return a context in which an edge is connected to a home that keeps what comes."""

    @asynccontextmanager
    async def run(home: FakeHome, mode: Mode = Mode.STRICT):
        async with FakeGateway(layout, tmp_path / "g.sock") as gateway:
            tap = stack.enter_context(Tap(home.address))
            store, batches = ArtifactStore(layout), BatchFolder(layout)
            applier = Applier(layout, store, gateway.path)
            releaser, downloads = make_releaser(mode), Downloads(layout)
            shadow = Shadow(layout, Pool(PoolSettings()), {})
            rollouts = Rollouts(layout, applier, shadow, DecisionLog(layout, clock), clock)
            batcher = Batcher(
                layout, batches, Telemetry(), releaser, recorder, "log-1", clock, clock
            )
            settings = HomeSettings(layout, Deployment(), lambda _wanted: None)
            states = States(
                store, applier, downloads, rollouts, releaser, settings, lambda: datetime.now(UTC)
            )
            parts = Parts(
                states=states,
                downloads=downloads,
                batches=batches,
                batcher=batcher,
                releaser=releaser,
                erasures=Erasures(layout, batches, [], has_home=True),
                applier=applier,
                clock=clock,
            )
            settings = LinkSettings(
                address=tap.address,
                tls=None,
                api_key="made-up",
                name="test",
                tasks=(),
                log_id="log-1",
            )
            link = Link(settings, IdentityFile(layout), store, parts)
            async with asyncio.TaskGroup() as tasks:
                running = tasks.create_task(link.run())
                yield gateway, batcher, tap
                running.cancel()

    with ExitStack() as stack:
        yield run


def heard(tap: Tap, text: str) -> list[bytes]:
    """Return the spellings of a text that left the edge."""
    raw = text.encode()
    spellings = [raw, raw.hex().encode(), base64.b64encode(raw)[:-4], raw[::-1]]
    everything = tap.raw + tap.understood
    return [spelling for spelling in spellings if spelling in everything]


async def test_no_byte_of_text_leaves_and_the_failure_estimate_does(
    run, write, layout, marker, make_artifact
):
    artifact = make_artifact(task="labels", output_schema=LABELS)
    store = ArtifactStore(layout)
    store.add(pack(artifact))
    write("labels", marker, output="ham", truth="spam")
    write("labels", marker, output="ham", truth="ham")
    write("free", marker, output={"said": marker}, truth=[marker, {marker: 1}])
    write(
        "free",
        marker,
        output=None,
        truth=None,
        status="error",
        error_type="ValueError",
        error_message=f"cannot read {marker}",
    )
    async with FakeHome() as home, run(home) as (_, batcher, tap):
        batcher.flush()
        async with asyncio.timeout(10):
            await home.telemetry_arrived.wait()

    [batch] = home.batches
    labels = [v for v in batch.validations if v.task == "labels"]
    assert [v.is_match for v in labels] == [False, True]
    assert [v.oracle_output_index for v in labels] == [0, 1]
    assert [e.output_index for e in batch.executions if e.task == "labels"] == [1, 1]
    assert all(len(e.input_hash) == 32 for e in batch.executions)
    assert len(batch.validations) == 4
    assert batch.privacy_mode == wire.PRIVACY_MODE_STRICT
    assert not heard(tap, marker)


async def test_of_a_balanced_edge_it_is_heard(run, write, marker):
    """The marker is really there, and the tap understands what it hears."""
    write("free", marker, output={"said": marker}, truth=marker)

    async with FakeHome() as home, run(home, Mode.BALANCED) as (_, batcher, tap):
        batcher.flush()
        async with asyncio.timeout(10):
            await home.telemetry_arrived.wait()

    assert heard(tap, marker)


async def test_home_may_tighten_but_never_loosen(run, write, layout, marker):
    write("free", marker, output=marker, truth=marker)
    async with FakeHome() as home, run(home) as (_, batcher, tap):
        home.push(home.state(5, privacy_floor=wire.PRIVACY_MODE_PERMISSIVE))
        async with asyncio.timeout(10):
            while len(home.reports) < 2:  # noqa: ASYNC110 messages announce nothing
                await asyncio.sleep(0.01)
        batcher.flush()
        async with asyncio.timeout(10):
            await home.telemetry_arrived.wait()

    assert home.batches[0].privacy_mode == wire.PRIVACY_MODE_STRICT
    assert not heard(tap, marker)


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        ("self-test failed: {0} came out instead of {0}", "self-test failed"),
        ("Traceback (most recent call last):\n  {0}\nKeyError: '{0}'", "KeyError"),
        ("{0}", "withheld"),
    ],
)
async def test_what_a_version_was_refused_for_quotes_nothing(
    run, marker, make_artifact, reason, said
):
    async with FakeHome() as home, run(home) as (gateway, _, tap):
        gateway.refused, gateway.reason = {1}, reason.format(marker)
        home.push(home.state(5, home.task("shout", 1, pack(make_artifact()))))
        async with asyncio.timeout(10):
            while len(home.reports) < 2:  # noqa: ASYNC110 messages announce nothing
                await asyncio.sleep(0.01)

    assert home.reports[-1].tasks[0].reason == said
    assert not heard(tap, marker)
