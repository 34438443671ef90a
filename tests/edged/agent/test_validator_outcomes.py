"""Truths that callers report later, matched with executions in real files."""

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest

from edged.agent.checkpoints import Budget, Checkpoint
from edged.agent.comparing import Plain
from edged.agent.oracles import outcome
from edged.agent.oracles.outcome import OutcomeValidator
from edged.agent.sampling import TaskSampler
from edged.agent.validations import ValidationLog, validation_id
from edged.agent.validator import ValidatorSettings
from edged.contract.compare import Exact
from edged.datasets.layout import Layout
from edged.deployment.checking import Sampling
from tests.fakes.clock import FakeClock
from tests.fakes.execution_log import ExecutionLog
from tests.fakes.validating import until

MIDNIGHT = 1_795_478_400.0  # 2026-11-24T00:00:00Z
SALT = b"s" * 32


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(MIDNIGHT - 3600)


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "state").mkdir()
    return Layout(tmp_path)


@pytest.fixture
def executions(layout, clock):
    log = ExecutionLog(layout, clock)
    yield log
    log.close()


@pytest.fixture
def sampler() -> TaskSampler:
    return TaskSampler(Sampling(rate=0.2), SALT)


@pytest.fixture
def start(layout, clock, sampler):
    """Return a function that makes a validator and its checkpoint, as a restart would."""
    logs = []

    def start(*, is_every_execution_reported: bool = False) -> tuple[OutcomeValidator, Checkpoint]:
        validations = ValidationLog(layout, clock)
        logs.append(validations)
        checkpoint = Checkpoint(layout.state / "validator-outcomes.json", Budget(clock))
        checkpoint.load()
        validator = OutcomeValidator(
            "spam",
            layout,
            Plain(Exact()),
            sampler,
            checkpoint,
            validations,
            ValidatorSettings(follow_interval_s=0.01),
            is_every_execution_reported=is_every_execution_reported,
        )
        return validator, checkpoint

    yield start
    for log in logs:
        log.close()


async def test_a_truth_is_matched_with_its_execution_days_later(start, executions, clock):
    executions.append(500)
    [execution_id] = executions.append(output_json=b'"spam"', confidence=0.6)
    executions.append(500)
    clock.advance(6 * 86_400)
    executions.append(500)
    executions.report(execution_id, "ham")
    validator, _ = start()

    await validator.follow()

    [line] = executions.validations()
    assert line["id"] == validation_id(execution_id, "outcome")
    assert (line["output"], line["oracle_output"], line["match"]) == ("spam", "ham", False)
    assert (line["oracle"], line["confidence"]) == ("outcome", 0.6)
    assert line["executed_at"] == "2026-11-23T23:00:00.000Z"
    assert line["validated_at"] == "2026-11-29T23:00:00.000Z"


async def test_only_drawn_executions_count_as_audit(start, executions, sampler):
    ids = executions.append(300)
    for execution_id in ids:
        executions.report(execution_id, "ham")
    drawn = {i for i in ids if sampler.audit(i) is not None}
    validator, _ = start()

    await validator.follow()

    lines = executions.validations()
    audit = {line["execution_id"] for line in lines if line["channel"] == "audit"}
    assert len(lines) == 300
    assert audit == drawn
    assert {line["inclusion_probability"] for line in lines} == {0.2, None}
    assert {line["channel"] for line in lines} == {"audit", "reported"}


async def test_where_every_execution_is_reported_each_one_is_an_audit_sample(start, executions):
    for execution_id in executions.append(50):
        executions.report(execution_id, "ham")
    validator, _ = start(is_every_execution_reported=True)

    await validator.follow()

    chances = {
        (line["channel"], line["inclusion_probability"]) for line in executions.validations()
    }
    assert chances == {("audit", 1.0)}


async def test_a_failed_execution_is_a_mismatch_and_keeps_its_truth(start, executions):
    [failed] = executions.append(status="error", output_json=b"null", error_type="E")
    [cut] = executions.append(
        status="timeout", output_json=b"null", error_type="T", is_cut_by_caller=True
    )
    executions.report(failed, None)
    executions.report(cut, "ham")
    validator, _ = start()

    await validator.follow()

    [line] = executions.validations()
    assert (line["execution_id"], line["match"], line["oracle_output"]) == (failed, False, None)
    assert validator.counts.skipped == {"cut_by_caller": 1}


async def test_what_nobody_executed_is_counted_and_skipped(start, executions):
    executions.append(3)
    executions.report("01a00000-0000-7000-8000-000000000000", "ham")
    executions.report("00000000-0000-4000-8000-000000000000", "ham")
    executions.report("nonsense", "ham")
    validator, _ = start()

    await validator.follow()

    assert executions.validations() == []
    assert validator.counts.skipped == {"unknown_execution": 3}


async def test_an_execution_whose_line_is_damaged_is_counted_and_holds_up_no_other(
    start, executions, layout
):
    damaged, whole = executions.append(2)
    executions.report(damaged, "ham")
    executions.report(whole, "ham")
    [path] = layout.log("spam", "executions").iterdir()
    first, second, _ = path.read_bytes().split(b"\n")
    path.write_bytes(first[:-1].ljust(len(first)) + b"\n" + second + b"\n")
    validator, _ = start()

    await validator.follow()

    assert [line["execution_id"] for line in executions.validations()] == [whole]
    assert validator.counts.skipped == {"malformed_execution": 1}


async def test_a_file_that_was_archived_before_its_sync_holds_up_no_checkpoint(
    start, executions, layout
):
    [execution_id] = executions.append()
    executions.report(execution_id, "ham")
    validator, _ = start()
    await validator.follow()
    [path] = layout.log("spam", "validations").iterdir()
    path.rename(path.with_name(path.name + ".gz"))

    validator._validations.sync()

    assert validator._validations._unsynced == set()


async def test_whatever_fails_is_tried_again_and_ends_nothing(start, executions, monkeypatch):
    [execution_id] = executions.append()
    executions.report(execution_id, "ham")
    validator, _ = start()

    def fail(*_: object) -> None:
        monkeypatch.undo()
        raise RuntimeError("a bug")

    monkeypatch.setattr(outcome, "find_lines", fail)
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(validator.run())
        await until(executions.validations)
        running.cancel()

    assert len(executions.validations()) == 1


async def test_a_truth_told_twice_keeps_its_id(start, executions):
    [execution_id] = executions.append()
    executions.report(execution_id, "spam")
    executions.report(execution_id, "ham")
    validator, _ = start()

    await validator.follow()

    first, second = executions.validations()
    assert first["id"] == second["id"]
    assert (first["match"], second["match"]) == (False, True)


async def test_a_restart_goes_on_from_the_checkpoint(start, executions):
    for execution_id in executions.append(5):
        executions.report(execution_id, "ham")
    validator, checkpoint = start()
    await validator.follow()
    checkpoint.save(lambda: None)
    [late] = executions.append()
    executions.report(late, "ham")

    await start()[0].follow()

    ids = [line["execution_id"] for line in executions.validations()]
    assert len(ids) == 6
    assert ids.count(late) == 1


async def test_a_kill_before_the_checkpoint_repeats_the_same_ids(start, executions):
    for execution_id in executions.append(5):
        executions.report(execution_id, "ham")
    await start()[0].follow()

    await start()[0].follow()

    ids = [line["id"] for line in executions.validations()]
    assert (len(ids), len(set(ids))) == (10, 5)


async def test_a_disk_that_refuses_delays_and_loses_nothing(start, executions, layout):
    [execution_id] = executions.append()
    executions.report(execution_id, "ham")
    folder = layout.log("spam", "validations")
    folder.write_text("a file where the folder should be")
    validator, _ = start()

    running = asyncio.ensure_future(validator.run())
    await asyncio.sleep(0.05)
    folder.unlink()
    while not executions.validations():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running

    assert [line["execution_id"] for line in executions.validations()] == [execution_id]
