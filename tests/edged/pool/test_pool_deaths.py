"""What a program can do to its worker, and what that costs the others: nothing."""

import asyncio
import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from edged.pool.pool import Outcome, Pool, ProgramSource, Quarantined, Result
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image
from edged.sandbox.refusals import ProgramRefused
from scripts.support.processes import parent_of
from tests.edged.pool.conftest import QUICK

BY_WORD = ProgramSource(
    source="""
import itertools
def run(input_data):
    if input_data == "spin":
        while True: pass
    if input_data == "count":
        return sum(itertools.count())
    if input_data == "huge":
        return len("x" * 10 ** 10)
    if input_data == "grow":
        kept = []
        while True: kept.append("x" * 10_000_000)
    return input_data
"""
)

BY_ACT = ProgramSource(
    source="""
import ctypes, os, _socket
ACTS = {
    "socket": lambda: _socket.socket(),
    "fork": os.fork,
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(os.getppid(), 9),
    "namespace": lambda: ctypes.CDLL(None).unshare(0x40000000),
    "open": lambda: open("/etc/hostname").read(),
    "list": lambda: os.listdir("/"),
    "stat": lambda: os.stat("/").st_mode,
    "crash": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "leave": lambda: os._exit(0),
    "echo": lambda: "echo",
}
def run(input_data):
    return ACTS[input_data]()
"""
)


async def held_behind(pool: Pool, key: str, text: bytes, others: int) -> list[Result]:
    """Submit one call and `others` behind it in one turn; return their results in that order."""
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in range(others + 1)]
    pool.submit(key, text, waiting[0].set_result)
    for future in waiting[1:]:
        pool.submit(key, b'"echo"', future.set_result)
    return list(await asyncio.gather(*waiting))


async def warm(pool: Pool, key: str) -> None:
    """Let the pool learn that this program is quick, so that it hands calls over ahead."""
    for _ in range(20):
        await pool.call(key, b'"echo"')


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("spin", Outcome.TIMEOUT),
        ("count", Outcome.TIMEOUT),
        ("huge", Outcome.MEMORY),
        ("grow", Outcome.MEMORY),
    ],
)
async def test_the_call_that_overran_is_charged_and_those_behind_it_are_answered(
    pool, word, outcome
):
    await pool.load("words", BY_WORD)
    await warm(pool, "words")

    charged, *others = await held_behind(pool, "words", f'"{word}"'.encode(), 30)

    assert (charged.outcome, charged.cut_by_caller) == (outcome, False)
    assert [result.output_json for result in others] == [b'"echo"'] * 30


async def test_a_program_stuck_in_c_code_is_killed_and_counted(pool):
    await pool.load("words", BY_WORD)

    result = await pool.call("words", b'"count"')

    assert result.run_ms >= 300
    assert pool.stats().kills == pool.stats().by_key["words"].kills == 1


async def test_an_answer_does_not_wait_for_a_slow_call_behind_it(pool):
    await pool.load("words", BY_WORD)
    await warm(pool, "words")
    order: list[bytes] = []
    ended = asyncio.Event()

    pool.submit("words", b'"quick"', lambda result: order.append(result.output_json))
    pool.submit("words", b'"spin"', lambda _result: ended.set())
    await asyncio.sleep(0.1)

    assert order == [b'"quick"']
    assert not ended.is_set()
    await ended.wait()


@pytest.mark.parametrize("act", ["socket", "fork", "exec", "signal", "namespace"])
async def test_a_forbidden_system_call_is_a_violation_of_the_call_that_made_it(escaped_pool, act):
    await escaped_pool.load("acts", BY_ACT)
    await warm(escaped_pool, "acts")

    charged, *others = await held_behind(escaped_pool, "acts", f'"{act}"'.encode(), 10)

    assert charged.outcome is Outcome.VIOLATION
    assert [result.output_json for result in others] == [b'"echo"'] * 10


@pytest.mark.parametrize("act", ["open", "list", "stat"])
async def test_files_are_refused_even_to_a_program_that_escaped(escaped_pool, act):
    await escaped_pool.load("acts", BY_ACT)

    result = await escaped_pool.call("acts", f'"{act}"'.encode())

    assert (result.outcome, result.error_type) == (Outcome.ERROR, "PermissionError")


@pytest.mark.parametrize(
    ("act", "error_type"),
    [("crash", "worker_crashed"), ("abort", "worker_crashed"), ("leave", "worker_exited")],
)
async def test_a_program_that_ends_its_process_is_an_error_of_that_call(
    escaped_pool, act, error_type
):
    await escaped_pool.load("acts", BY_ACT)
    await warm(escaped_pool, "acts")

    charged, *others = await held_behind(escaped_pool, "acts", f'"{act}"'.encode(), 10)

    assert (charged.outcome, charged.error_type) == (Outcome.ERROR, error_type)
    assert [result.output_json for result in others] == [b'"echo"'] * 10


async def test_a_program_that_forges_frames_is_killed(escaped_pool):
    source = """
import os
def run(input_data):
    if input_data == "lie":
        for fd in range(3, 64):
            try: os.write(fd, b"\\xff" * 64)
            except OSError: pass
        while True: pass
    return input_data
"""
    await escaped_pool.load("liar", ProgramSource(source=source))

    result = await escaped_pool.call("liar", b'"lie"')
    after = await escaped_pool.call("liar", b'"echo"')

    assert result.outcome is Outcome.VIOLATION
    assert after.output_json == b'"echo"'


async def test_a_program_that_rewrites_the_shared_page_is_killed_all_the_same(escaped_pool):
    source = """
import signal, struct, sys, time
def pages():
    frame = sys._getframe()
    while frame:
        yield from (vars(held)["_page"] for held in frame.f_locals.values()
                    if "_page" in getattr(held, "__dict__", {}))
        frame = frame.f_back
def run(input_data):
    if input_data == "echo":
        return input_data
    signal.setitimer(signal.ITIMER_REAL, 0)
    page = next(pages())
    while True:
        page.begin(10 ** 6, time.monotonic_ns())
"""
    await escaped_pool.load("page", ProgramSource(source=source))

    results = await held_behind(escaped_pool, "page", b'"forge"', 1)

    assert results[0].outcome is Outcome.TIMEOUT
    assert results[1].output_json == b'"echo"'


async def test_a_worker_killed_from_outside_has_its_call_run_again(pool):
    await pool.load("slow", ProgramSource(source=SLOW_ONCE))
    running = asyncio.get_running_loop().create_task(pool.call("slow", b"1"))
    await asyncio.sleep(0.05)

    os.kill(pool.worker_pids("slow")[0], signal.SIGKILL)
    result = await running

    assert result.outcome is Outcome.TIMEOUT
    stats = pool.stats()
    assert stats.respawns - stats.kills == 1  # on a busy machine the overrun ends a worker as well


async def test_a_call_whose_worker_vanishes_twice_is_answered_as_lost(pool):
    await pool.load("slow", ProgramSource(source=SLOW_ONCE))
    running = asyncio.get_running_loop().create_task(pool.call("slow", b"1"))

    while not running.done():
        await asyncio.sleep(0.05)  # until it runs; killed earlier, it was not lost
        for pid in pool.worker_pids("slow"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
    result = await running

    assert (result.outcome, result.error_type) == (Outcome.ERROR, "worker_lost")


SLOW_ONCE = "def run(input_data):\n    while True: pass\n"


@pytest.mark.parametrize("kill_signal", [signal.SIGKILL, signal.SIGTERM])
async def test_calls_survive_the_death_of_the_zygote(pool, kill_signal):
    await pool.load("words", BY_WORD)
    zygote_pid = parent_of(pool.worker_pids("words")[0])

    os.kill(zygote_pid, kill_signal)
    while not pool.stats().zygote_restarts:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.001)
    results = [await pool.call("words", b'"echo"') for _ in range(5)]

    assert [result.output_json for result in results] == [b'"echo"'] * 5
    assert pool.stats().zygote_restarts == 1


def is_alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


async def test_no_process_outlives_the_pool():
    async with Pool(PoolSettings()) as pool:
        await pool.load("words", BY_WORD)
        worker_pid = pool.worker_pids("words")[0]
        zygote_pid = parent_of(worker_pid)

    for _ in range(200):
        if not is_alive(worker_pid):
            break
        await asyncio.sleep(0.01)
    assert (is_alive(zygote_pid), is_alive(worker_pid)) == (False, False)


async def test_a_worker_is_recycled_after_its_share_of_calls_once_its_successor_has_loaded():
    async with Pool(PoolSettings(recycle_after_calls=10, spare_workers=0)) as pool:
        await pool.load("words", BY_WORD)
        (first,) = pool.worker_pids("words")
        for _ in range(10):
            assert (await pool.call("words", b'"echo"')).outcome is Outcome.SUCCESS

        assert pool.stats().by_key["words"].workers == 1
        while first in pool.worker_pids("words"):
            assert (await pool.call("words", b'"echo"')).outcome is Outcome.SUCCESS

        assert pool.worker_pids("words")


@pytest.mark.parametrize(
    ("act", "times", "reason"),
    [("socket", 3, "forbidden system call 3 times"), ("crash", 10, "crashed its process 10 times")],
)
async def test_a_version_that_keeps_ending_its_workers_is_quarantined(
    escaped_pool, act, times, reason
):
    told: list[tuple[str, str]] = []
    escaped_pool.on_quarantine = lambda key, why: told.append((key, why))
    await escaped_pool.load("acts", BY_ACT)
    await escaped_pool.load("other", BY_WORD)

    results = [await escaped_pool.call("acts", f'"{act}"'.encode()) for _ in range(times)]

    assert {result.outcome for result in results} <= {Outcome.VIOLATION, Outcome.ERROR}
    assert [key for key, _ in told] == ["acts"]
    with pytest.raises(Quarantined, match=reason):
        await escaped_pool.call("acts", b'"echo"')
    with pytest.raises(Quarantined, match=reason):
        await escaped_pool.load("acts", BY_ACT)
    assert (await escaped_pool.call("other", b'"echo"')).output_json == b'"echo"'


async def test_what_waits_for_a_version_that_is_quarantined_is_answered():
    settings = replace(QUICK, workers_per_version=1)  # nobody else could answer them first
    async with Pool(settings, Image(without=frozenset({"language"}))) as pool:
        await pool.load("acts", BY_ACT)
        await warm(pool, "acts")
        for _ in range(2):
            await pool.call("acts", b'"socket"')

        charged, *others = await held_behind(pool, "acts", b'"socket"', 30)

    assert charged.outcome is Outcome.VIOLATION
    assert {(other.is_lost, other.error_type) for other in others} == {
        (True, "version_quarantined")
    }


async def test_workers_killed_from_outside_quarantine_nobody(pool):
    await pool.load("words", BY_WORD)

    kills = 0
    while kills < 12:
        with suppress(ProcessLookupError):  # another one answered before the pool had noticed
            os.kill(pool.worker_pids("words")[0], signal.SIGKILL)
            kills += 1
        result = await pool.call("words", b'"echo"')

    assert result.output_json == b'"echo"'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("while True: pass", "too long"),
        ("x = sum(itertools.count())", "too long"),
        ("x = 'a' * 10 ** 10", "(?i)memory"),
    ],
)
async def test_a_program_that_overruns_while_it_loads_is_refused(body, reason):
    source = f"import itertools\n{body}\ndef run(input_data):\n    return 1\n"
    async with Pool(PoolSettings(load_time_limit_ms=200)) as pool:
        with pytest.raises(ProgramRefused, match=reason):
            await pool.load("late", ProgramSource(source=source))

        await pool.load("words", BY_WORD)
        result = await pool.call("words", b'"echo"')

        assert result.output_json == b'"echo"'


async def test_every_call_is_answered_once_while_workers_are_killed(pool):
    await pool.load("words", BY_WORD)
    answers: list[tuple[int, Result]] = []
    submitted = kills = 0

    for _ in range(10):
        for _ in range(100):
            pool.submit("words", b'"echo"', note(answers, submitted))
            submitted += 1
        await asyncio.sleep(0.01)
        for pid in pool.worker_pids("words"):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
                kills += 1
    while len(answers) < submitted:  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0.01)

    assert sorted(number for number, _ in answers) == list(range(submitted))
    # A call whose second worker was killed as well is not run a third time.
    given_up = [result for _, result in answers if "twice" in result.error_message]
    assert len(given_up) <= kills / 2
    # On a busy machine five workers in a row may be killed before one of them answers.
    others = [result for _, result in answers if result not in given_up and not result.is_lost]
    assert {result.outcome for result in others} == {Outcome.SUCCESS}


def note(answers: list[tuple[int, Result]], number: int) -> Callable[[Result], None]:
    return lambda result: answers.append((number, result))
