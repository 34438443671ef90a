"""What is decided from values: blame, write-ahead, overdue calls, settings."""

import asyncio
import signal
import time
from collections import deque

import pytest

from edged.pool.settings import PoolSettings
from edged.pool.values import Call
from edged.pool.verdicts import Cause, calls_ahead, cause_of, settle, typical_after
from edged.pool.watchdog import Watchdog, due_at_ns
from edged.sandbox.exits import EXIT_BROKEN, EXIT_DONE, EXIT_MEMORY, EXIT_TOO_WEAK
from edged.sandbox.frames import Outcome
from edged.sandbox.page import Running
from tests.edged.pool.test_pool_calls import until

LIMIT_NS = 1_000_000
IDLE = Running(0, 0)


def held(count: int, *, deadline_ns: int = 0) -> list[Call]:
    return [
        Call(b"1", print, limit_ns=LIMIT_NS, deadline_ns=deadline_ns, queued_ns=0, index=index)
        for index in range(count)
    ]


@pytest.mark.parametrize(
    ("status", "cause"),
    [
        (EXIT_DONE, Cause.LEFT),
        (EXIT_TOO_WEAK, Cause.TOO_WEAK),
        (EXIT_MEMORY, Cause.MEMORY),
        (EXIT_BROKEN, Cause.EXITED),
        (-signal.SIGSYS, Cause.VIOLATION),
        (-signal.SIGSEGV, Cause.CRASHED),
        (-signal.SIGABRT, Cause.CRASHED),
        (-signal.SIGKILL, Cause.LOST),
        (-signal.SIGTERM, Cause.LOST),
    ],
)
def test_an_exit_status_has_one_cause(status, cause):
    assert cause_of(status) is cause


@pytest.mark.parametrize(
    ("cause", "outcome"),
    [
        (Cause.DEADLINE, Outcome.TIMEOUT),
        (Cause.VIOLATION, Outcome.VIOLATION),
        (Cause.CRASHED, Outcome.ERROR),
        (Cause.EXITED, Outcome.ERROR),
        (Cause.LEFT, Outcome.ERROR),
        (Cause.MEMORY, Outcome.MEMORY),
    ],
)
def test_the_running_call_is_charged_and_the_others_go_back_in_order(cause, outcome):
    calls = held(4)

    settlement = settle(calls, Running(1, 500), cause, 1500)

    ((charged, result),) = settlement.answered
    assert (charged, result.outcome, result.run_ms) == (calls[1], outcome, 0.001)
    assert settlement.again == [calls[0], calls[2], calls[3]]


def test_nobody_is_charged_when_no_call_ran():
    calls = held(3)

    settlement = settle(calls, IDLE, Cause.CRASHED, 1500)

    assert (settlement.answered, settlement.again) == ((), calls)


def test_a_lost_call_runs_once_more_and_then_no_more():
    calls = held(2)

    first = settle(calls, Running(0, 500), Cause.LOST, 1500)
    second = settle(calls, Running(0, 700), Cause.LOST, 1500)

    assert (first.answered, first.again) == ((), calls)
    ((charged, result),) = second.answered
    assert (charged, result.error_type) == (calls[0], "worker_lost")
    assert second.again == [calls[1]]


def test_a_forged_page_charges_the_call_that_kept_the_pool_waiting():
    calls = held(3)

    settlement = settle(calls, Running(999, 500), Cause.DEADLINE, 1500)

    assert settlement.answered[0][0] is calls[0]
    assert settlement.answered[0][1].outcome is Outcome.TIMEOUT


def test_a_worker_that_stands_still_is_lost_not_late():
    calls = held(1)

    first = settle(calls, IDLE, Cause.DEADLINE, 1500)
    second = settle(calls, IDLE, Cause.DEADLINE, 1500)

    assert first.again == calls
    assert second.answered[0][1].error_type == "worker_lost"


def test_a_kill_at_the_callers_deadline_is_the_callers():
    calls = held(1, deadline_ns=LIMIT_NS // 2)

    settlement = settle(calls, Running(0, 1), Cause.DEADLINE, LIMIT_NS)

    assert settlement.answered[0][1].cut_by_caller is True


@pytest.mark.parametrize(
    ("run_ns", "calls"), [(0, 1), (10_000, 64), (100_000, 11), (600_000, 2), (500_000_000, 1)]
)
def test_write_ahead_follows_the_measured_run_time(run_ns, calls):
    assert calls_ahead(run_ns, ahead_ns=1_000_000, most=64) == calls


def test_one_interrupted_call_does_not_make_a_program_slow():
    typical_ns = typical_after(13_000, 20_000_000)

    assert calls_ahead(typical_ns, ahead_ns=1_000_000, most=64) > 32


def test_a_program_that_becomes_slow_is_noticed_within_eight_calls():
    typical_ns = 13_000

    for _ in range(8):
        typical_ns = typical_after(typical_ns, 500_000_000)

    assert calls_ahead(typical_ns, ahead_ns=1_000_000, most=64) == 1


def test_a_batch_counts_as_its_calls_do():
    typical_ns = typical_after(13_000, 4 * 26_000, calls=4)

    assert typical_ns == 13_000 + 13_000 // 2


def test_a_running_call_is_due_at_its_limit_from_its_own_start():
    due_ns = due_at_ns(deque(held(2)), Running(0, 5_000), head_since_ns=100_000)

    assert due_ns == 5_000 + LIMIT_NS


def test_a_refreshed_page_does_not_put_off_what_is_due():
    calls = deque(held(2))

    honest = due_at_ns(calls, IDLE, head_since_ns=100_000)
    forged = due_at_ns(calls, Running(0, 10**15), head_since_ns=100_000)

    assert forged == honest


@pytest.mark.parametrize(
    "fields",
    [
        {"workers_per_version": 0},
        {"time_limit_ms": 0},
        {"memory_limit_mb": -1},
        {"spare_workers": -1},
        {"workers_per_version": 9, "max_workers": 8},
        {"require": ("wishful_thinking",)},
    ],
)
def test_settings_that_cannot_work_are_refused(fields):
    with pytest.raises(ValueError, match=next(iter(fields))):
        PoolSettings(**fields)


async def test_a_watchdog_that_handed_a_call_over_while_it_checked_can_be_stopped():
    late, following = held(2)
    calls = deque([late])
    overdue: list[Call] = []

    def read_answers() -> None:
        calls[0] = following
        watchdog.expect(following.limit_ns, time.monotonic_ns())

    watchdog = Watchdog(
        calls,
        read_page=lambda: Running(late.index, 1),
        read_answers=read_answers,
        on_overdue=lambda: overdue.append(calls[0]),
        grace_ns=0,
    )
    watchdog.expect(late.limit_ns, time.monotonic_ns())
    await until(lambda: calls[0] is following)

    watchdog.stop()
    await asyncio.sleep(0.1)  # it would be overdue

    assert overdue == []
