"""The link against a control plane that misbehaves on demand; the gateway is a stand-in here."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from loopai.control.v1 import link_pb2 as wire

from edged.agent import link as link_module
from edged.agent import sending
from edged.agent.batch_file import Checkpoint
from edged.agent.erasures import ErasureFolder, Request
from edged.agent.link import Link
from edged.agent.privacy.modes import Mode
from edged.artifacts.archive import pack
from edged.artifacts.signing import SigningKey
from edged.datasets.records import Execution, render
from edged.datasets.writer import LogWriter
from edged.decisions.routing import Routes

NOW = datetime.now(UTC)


async def final_report(home, sequence: int) -> wire.StateReport:
    """Wait for the refusal of that state, or for the report that follows APPLYING."""
    async with asyncio.timeout(10):
        while True:
            about = [report for report in home.reports if report.nonce == f"n{sequence}"]
            if about and (about[-1].refused or len(about) == 2):
                return about[-1]
            await asyncio.sleep(0.01)


async def test_a_state_is_fetched_applied_and_reported(home, connected, layout, make_artifact):
    archive = pack(make_artifact())
    home.push(home.state(5, home.task("shout", 1, archive)))

    async with connected():
        report = await final_report(home, 5)

    [task] = report.tasks
    assert (task.state, task.serving_version) == (wire.APPLY_STATE_APPLIED, 1)
    assert str(layout.active("shout").readlink()) == "v1"
    assert Routes.parse(layout.routes.read_bytes()).sequence == 5
    assert home.reports[0].tasks[0].state == wire.APPLY_STATE_APPLYING


async def test_a_reconnect_names_what_is_held_and_fetches_nothing(
    home, connected, parts, make_artifact
):
    archive = pack(make_artifact())
    home.push(home.state(5, home.task("shout", 1, archive)))
    async with connected():
        await final_report(home, 5)

    home.push(home.state(6, home.task("shout", 1, archive)))
    async with connected():
        await final_report(home, 6)

    assert len(home.requests) == 1
    assert list(home.hellos[1].held_digests) == list(home.archives)
    assert home.hellos[1].last_applied_sequence == 5


async def test_a_download_goes_on_where_it_was_cut(home, connected, layout, make_artifact):
    archive = pack(make_artifact())
    task = home.task("shout", 1, archive)
    partial = layout.state / "partial" / task.stable.digest.removeprefix("sha256:")
    partial.parent.mkdir()
    partial.write_bytes(archive[:1500])

    home.push(home.state(5, task))
    async with connected():
        report = await final_report(home, 5)

    assert home.requests[0].offset == 1500
    assert report.tasks[0].state == wire.APPLY_STATE_APPLIED


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"deployment_id": "another"}, "for another edge"),
        ({"expires_at": NOW - timedelta(minutes=1)}, "expired"),
    ],
)
async def test_a_state_that_is_not_for_now_and_here_is_refused(
    home, connected, make_artifact, change, words
):
    home.push(home.state(5, home.task("shout", 1, pack(make_artifact())), **change))

    async with connected():
        report = await final_report(home, 5)

    assert words in report.refused
    assert not home.requests


async def test_a_state_by_another_key_is_refused(home, connected, gateway, make_artifact):
    state = home.state(5, home.task("shout", 1, pack(make_artifact())))
    home.push(state, key=SigningKey.generate())

    async with connected():
        report = await final_report(home, 5)

    assert "not signed by the pinned key" in report.refused
    assert gateway.serving == {}


async def test_an_older_state_is_refused(home, connected, make_artifact):
    task = home.task("shout", 1, pack(make_artifact()))
    home.push(home.state(5, task))
    async with connected():
        await final_report(home, 5)
        home.push(home.state(4, task))
        report = await final_report(home, 4)

    assert "sequence 4 is older than 5" in report.refused


async def test_one_bad_artifact_does_not_hold_up_its_sibling(home, connected, make_artifact):
    good = home.task("shout", 1, pack(make_artifact()))
    bad = home.task("other", 1, pack(make_artifact(task="other")), signature=good.stable.signature)
    home.push(home.state(5, bad, good))

    async with connected():
        report = await final_report(home, 5)

    states = {task.task: task for task in report.tasks}
    assert states["shout"].state == wire.APPLY_STATE_APPLIED
    assert states["other"].state == wire.APPLY_STATE_FAILED
    assert "signature does not hold" in states["other"].reason


async def test_tampered_bytes_are_refused(home, connected, layout, make_artifact):
    task = home.task("shout", 1, pack(make_artifact()))
    home.archives[task.stable.digest] = pack(make_artifact("def run(input_data):\n    return 1\n"))
    home.push(home.state(5, task))

    async with connected():
        report = await final_report(home, 5)

    assert "the artifact's digest is" in report.tasks[0].reason
    assert not layout.version("shout", 1).exists()


async def test_a_version_the_gateway_refuses_leaves_the_old_route(
    home, connected, gateway, layout, make_artifact
):
    home.push(home.state(5, home.task("shout", 1, pack(make_artifact()))))
    async with connected():
        await final_report(home, 5)
        gateway.refused = {2}
        home.push(home.state(6, home.task("shout", 2, pack(make_artifact(version=2)))))
        report = await final_report(home, 6)

    [task] = report.tasks
    routes = Routes.parse(layout.routes.read_bytes())
    assert (task.state, task.serving_version, task.target_version) == (
        wire.APPLY_STATE_FAILED,
        1,
        2,
    )
    assert "line 1, column 1" in task.reason
    assert routes.tasks["shout"].arms[0].version == 1
    assert str(layout.active("shout").readlink()) == "v1"


async def test_a_task_that_home_no_longer_names_is_no_longer_routed(
    home, connected, layout, make_artifact
):
    home.push(home.state(5, home.task("shout", 1, pack(make_artifact()))))
    async with connected():
        await final_report(home, 5)
        home.push(home.state(6))
        await final_report(home, 6)

    assert Routes.parse(layout.routes.read_bytes()).tasks == {}


def log_executions(layout, parts, count: int) -> None:
    writer = LogWriter(layout, "executions", parts.clock)
    execution = Execution(execution_id="1", task="t", version=1, arm="stable", input_json=b"1")
    writer.append("t", [render(execution, "")] * count)
    writer.close()


async def test_a_batch_stays_on_disk_until_it_is_acknowledged(home, connected, layout, parts):
    log_executions(layout, parts, 3)
    home.is_acknowledging = False
    parts.batcher.flush()

    async with connected(), asyncio.timeout(10):
        await home.telemetry_arrived.wait()
    unacknowledged = parts.batches.pending()
    home.is_acknowledging = True
    async with connected(), asyncio.timeout(10):
        await parts.batches.wait_empty()

    assert unacknowledged == [1]
    assert [batch.number for batch in home.batches] == [1, 1]
    assert home.batches[0].arms[0].executions == 3
    assert home.batches[0].log_id == "log-1"


async def test_home_is_asked_to_erase_until_it_acknowledges(home, connected, layout, parts):
    request = Request(
        erasure_id="e1", task="spam", matches=[], execution_ids=["a", "b"], requested_at=0.0
    )
    request.passes = 2  # here everything is done
    ErasureFolder(layout).add(request)

    async with connected(), asyncio.timeout(10):
        while list(ErasureFolder(layout).open_requests()):  # noqa: ASYNC110 files announce nothing
            await asyncio.sleep(0.01)

    [asked] = home.erasures
    assert (asked.task, list(asked.execution_ids), asked.is_last) == ("spam", ["a", "b"], True)


async def test_settings_from_home_are_taken_and_what_is_kept_out_is_reported(
    home, connected, parts, layout
):
    settings = b'{"sampling": {"rate": 0.1}, "listen": {"http": "0.0.0.0:80"}}'
    home.push(home.state(5, settings_json=settings))

    async with connected():
        report = await final_report(home, 5)

    assert dict(report.settings_refused) == {
        "listen.http": "is set in this edge's deployment.yaml alone"
    }
    assert (layout.state / "home_settings.json").read_bytes() == settings


async def test_a_floor_that_this_edge_does_not_know_is_the_tightest(home, connected, parts):
    home.push(home.state(5, privacy_floor=99))

    async with connected():
        report = await final_report(home, 5)

    assert not report.refused
    assert parts.releaser.mode is Mode.STRICT


async def test_a_fault_of_a_session_ends_that_session_alone(home, connected, parts, monkeypatch):
    async def receive(*_: object) -> None:
        monkeypatch.undo()
        raise KeyError("a bug")

    monkeypatch.setattr(link_module, "BACKOFF_CAP_S", 0.01)
    monkeypatch.setattr(parts.states, "receive", receive)
    home.push(home.state(5))

    async with connected() as link, asyncio.timeout(10):
        while len(home.hellos) < 2 or not link.is_up:  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.01)
        home.push(home.state(6))
        report = await final_report(home, 6)

    assert not report.refused


async def test_only_a_session_that_lasted_begins_the_backoff_anew(
    home, connected, clock, monkeypatch
):
    attempts: asyncio.Queue[int] = asyncio.Queue()

    def jitter_s(attempt: int, **_limits: float) -> float:
        attempts.put_nowait(attempt)
        return 0.0

    monkeypatch.setattr(link_module, "full_jitter_s", jitter_s)
    home.hang_up()
    home.hang_up()
    async with connected() as link, asyncio.timeout(10):
        failed_at_once = [await attempts.get(), await attempts.get()]
        while not link.is_up:  # noqa: ASYNC110 nothing announces it
            await asyncio.sleep(0.01)
        clock.advance(link_module.STEADY_S)
        home.hang_up()
        failed_later = await attempts.get()

    assert (failed_at_once, failed_later) == ([0, 1], 0)


@pytest.mark.parametrize(("asked_ms", "rest_s"), [(0, 0.2), (7_000, 7.0)])
async def test_home_says_how_long_to_stay_away_but_not_to_come_back_at_once(
    home, connected, monkeypatch, asked_ms, rest_s
):
    rests: asyncio.Queue[float] = asyncio.Queue()

    async def rest(_self: object, delay_s: float, **_how: bool) -> None:
        rests.put_nowait(delay_s)
        await asyncio.Event().wait()

    monkeypatch.setattr(Link, "_rest", rest)
    home.ask_to_wait(asked_ms)

    async with connected(), asyncio.timeout(10):
        rested_s = await rests.get()

    assert rested_s == rest_s


async def test_a_disk_that_refuses_an_acknowledgement_ends_no_session(
    home, connected, layout, parts, monkeypatch
):
    monkeypatch.setattr(sending, "AGAIN_S", 0.02)
    log_executions(layout, parts, 3)
    parts.batcher.flush()
    in_the_way = layout.state / "acknowledged.json"
    in_the_way.mkdir()

    async with connected() as link, asyncio.timeout(10):
        await home.telemetry_arrived.wait()
        home.push(home.state(5))
        await final_report(home, 5)  # sent down after the acknowledgement
        pending, is_up = parts.batches.pending(), link.is_up
        in_the_way.rmdir()
        await parts.batches.wait_empty()

    assert (pending, is_up) == ([1], True)
    assert (len(home.hellos), len(home.batches)) == (1, 1)


async def test_a_batch_larger_than_home_takes_is_thinned_and_ends_no_session(
    home, connected, parts
):
    home.max_telemetry_bytes = 4 * 1024 * 1024 - 16  # what its server takes by itself
    record = wire.ExecutionSummary(input_json=b"1" * home.max_telemetry_bytes)
    batch = wire.TelemetryBatch(log_id="log-1", number=1, executions=[record])
    checkpoint, filtered_by = Checkpoint(number=1, positions={}), parts.releaser.privacy.fingerprint
    parts.batches.seal(checkpoint, batch.SerializeToString(), filtered_by=filtered_by)

    async with connected(), asyncio.timeout(10):
        await parts.batches.wait_empty()

    [arrived] = home.batches
    assert (list(arrived.executions), dict(arrived.dropped)) == ([], {sending.TOO_LARGE: 1})
    assert len(home.hellos) == 1
