"""Class shared: several versions in the same few workers, and each still answers for itself."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from edged.pool.pool import LoadFailed, Outcome, Pool, ProgramSource, Quarantined, Result
from edged.pool.settings import Isolation, PoolSettings
from edged.pool.values import Placement
from edged.pool.zygote import Image
from edged.sandbox.backend import Backend
from edged.sandbox.refusals import ProgramRefused
from tests.edged.pool.test_pool_calls import gather, until
from tests.edged.pool.test_pool_deaths import BY_ACT, BY_WORD, held_behind, note, warm
from tests.edged.pool.test_pool_warm import OFTEN_SLOW

ONE_WORKER = PoolSettings(
    isolation=Isolation.SHARED, workers_per_version=1, time_limit_ms=300, memory_limit_mb=48
)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    async with Pool(ONE_WORKER) as pool:
        yield pool


@pytest.fixture
async def escaped_pool() -> AsyncIterator[Pool]:
    """A pool whose programs are plain Python."""
    async with Pool(ONE_WORKER, Image(without=frozenset({"language"}))) as pool:
        yield pool


def says(word: str) -> ProgramSource:
    return ProgramSource(source=f"def run(input_data):\n    return [{word!r}, input_data]\n")


async def load_three(pool: Pool) -> None:
    for word in "abc":
        await pool.load(word, says(word))


async def test_versions_take_turns_on_one_process(pool):
    await load_three(pool)
    pids = set()

    for _ in range(3):
        for word in "abc":
            result = await pool.call(word, b"1")
            assert result.output_json == f'["{word}",1]'.encode()
            pids |= set(pool.worker_pids(word))

    assert len(pids) == 1
    assert pool.stats().workers <= 2  # and a spare, which may be starting


async def test_under_load_every_version_gets_its_turn_and_every_caller_his_answer(pool):
    await load_three(pool)

    by_word = await asyncio.gather(*(gather(pool, word, [b"1"] * 300) for word in "abc"))

    for word, results in zip("abc", by_word, strict=True):
        assert {result.output_json for result in results} == {f'["{word}",1]'.encode()}


async def test_a_version_with_endless_work_does_not_keep_the_worker(pool):
    await load_three(pool)
    busy = True

    def again(_result: object) -> None:
        if busy:
            pool.submit("a", b"1", again)

    for _ in range(200):
        pool.submit("a", b"1", again)
    results = [await pool.call(word, b"1") for word in "bcbc"]
    busy = False

    assert {result.outcome for result in results} == {Outcome.SUCCESS}


@pytest.mark.parametrize(
    ("word", "outcome"),
    [("spin", Outcome.TIMEOUT), ("count", Outcome.TIMEOUT), ("huge", Outcome.MEMORY)],
)
async def test_what_overruns_is_charged_to_its_own_version_and_call(pool, word, outcome):
    await load_three(pool)
    await pool.load("words", BY_WORD)
    await warm(pool, "words")

    (charged, *behind), others = await asyncio.gather(
        held_behind(pool, "words", f'"{word}"'.encode(), 5), gather(pool, "a", [b"1"] * 50)
    )

    assert charged.outcome is outcome
    assert [result.output_json for result in behind] == [b'"echo"'] * 5
    assert {result.output_json for result in others} == {b'["a",1]'}
    kills = {key: stats.kills for key, stats in pool.stats().by_key.items()}
    assert kills.pop("words") >= (word == "count")  # a busy machine kills what would have stopped
    assert kills == {"a": 0, "b": 0, "c": 0}


async def test_only_the_version_that_misbehaves_is_quarantined(escaped_pool):
    await load_three(escaped_pool)
    await escaped_pool.load("acts", BY_ACT)

    for _ in range(3):
        charged, others = await asyncio.gather(
            escaped_pool.call("acts", b'"socket"'), gather(escaped_pool, "a", [b"1"] * 20)
        )
        assert charged.outcome is Outcome.VIOLATION
        assert {result.output_json for result in others} == {b'["a",1]'}

    with pytest.raises(Quarantined, match="forbidden system call 3 times"):
        await escaped_pool.call("acts", b'"echo"')
    assert (await escaped_pool.call("b", b"1")).output_json == b'["b",1]'


async def test_a_program_that_is_refused_costs_its_neighbours_nothing(pool):
    await load_three(pool)

    with pytest.raises(ProgramRefused):
        await pool.load("bad", ProgramSource(source="import os\n"))

    assert (await pool.call("a", b"1")).output_json == b'["a",1]'


async def test_no_call_sees_what_a_neighbour_left(pool):
    leaves = (
        "import random\nSEEN = []\n\n\ndef run(input_data):\n    SEEN.append(random.random())\n"
    )
    draws = "import random\n\n\ndef run(input_data):\n    return random.random()\n"
    await pool.load("leaves", ProgramSource(source=leaves + "    return len(SEEN)\n"))
    await pool.load("draws", ProgramSource(source=draws))

    counted, drawn = set(), set()
    for _ in range(3):
        counted.add((await pool.call("leaves", b"1")).output_json)
        drawn.add((await pool.call("draws", b"1")).output_json)

    assert counted == {b"1"}
    assert len(drawn) == 1


@pytest.mark.parametrize("settings", [{"shared_programs": 2}, {"memory_limit_mb": 16}])
async def test_a_worker_without_room_for_another_program_is_replaced(settings):
    heavy = "TABLE = tuple('x' * 1000 + str(i) for i in range(9000))\n\n\ndef run(input_data):\n"
    async with Pool(
        PoolSettings(isolation=Isolation.SHARED, workers_per_version=1, **settings)
    ) as pool:
        for word in "abcd":
            await pool.load(word, ProgramSource(source=f"{heavy}    return {word!r}\n"))

        for _ in range(2):
            for word in "abcd":
                result = await pool.call(word, b"1")
                assert result.output_json == f'"{word}"'.encode()

        assert pool.stats().respawns <= 8


async def test_a_version_that_is_unloaded_leaves_the_others_served(pool):
    await load_three(pool)
    await pool.call("a", b"1")

    pool.unload("a")

    assert (await pool.call("b", b"1")).output_json == b'["b",1]'


async def test_every_call_is_answered_once_while_shared_workers_are_killed():
    settings = PoolSettings(isolation=Isolation.SHARED, workers_per_version=2)
    async with Pool(settings) as pool:
        await load_three(pool)
        answers: list[tuple[int, Result]] = []
        submitted = 0

        for _ in range(10):
            for word in "abc" * 30:
                pool.submit(word, b"1", note(answers, submitted))
                submitted += 1
            await asyncio.sleep(0.01)
            for pid in [pid for word in "abc" for pid in pool.worker_pids(word)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        await until(lambda: len(answers) == submitted)

        assert sorted(number for number, _ in answers) == list(range(submitted))
        assert {result.outcome for _, result in answers if not result.is_lost} <= {
            Outcome.SUCCESS,
            Outcome.ERROR,
        }
        for number, result in answers:
            if result.outcome is Outcome.SUCCESS:
                assert result.output_json == f'["{"abc"[number % 3]}",1]'.encode()
            else:  # its second worker was killed as well, or five in a row while they loaded
                assert result.error_type in ("worker_lost", "load_failed")


async def test_backends_share_a_worker_too():
    on_monty = Placement(isolation=Isolation.SHARED, backend=Backend.MONTY)
    settings = PoolSettings(isolation=Isolation.SHARED, workers_per_version=1, has_monty=True)
    async with Pool(settings) as pool:
        await pool.load("a", says("a"))
        await pool.load("m", ProgramSource(source=says("m").source, placement=on_monty))

        results = [(await pool.call(key, b"1")).output_json for key in "amam"]

        assert results == [b'["a",1]', b'["m",1]'] * 2
        assert pool.stats().respawns == 0


async def hold_worker(pool: Pool) -> tuple[list[int], list[Result]]:
    """Have a version run one call for a while and keep another waiting; return its worker."""
    await pool.load("slow", ProgramSource(source=OFTEN_SLOW))
    results: list[Result] = []
    pool.submit("slow", b"100", results.append)
    pool.submit("slow", b"1", results.append)
    await until(lambda: pool.stats().by_key["slow"].running == 1)
    return pool.worker_pids("slow"), results


async def test_a_version_that_is_unloaded_before_its_turn_leaves_the_worker_to_the_others(pool):
    pids, results = await hold_worker(pool)
    loading = asyncio.get_running_loop().create_task(pool.load("late", says("late")))
    await asyncio.sleep(0)  # until it waits for its turn

    pool.unload("late")

    with pytest.raises(LoadFailed):
        await loading
    await until(lambda: len(results) == 2)
    assert (await pool.call("slow", b"1")).outcome is Outcome.SUCCESS
    assert pool.worker_pids("slow") == pids


async def test_a_version_that_was_unloaded_passes_the_worker_on_after_its_last_turn(pool):
    await pool.load("a", says("a"))
    pids, results = await hold_worker(pool)
    last = asyncio.get_running_loop().create_task(pool.call("a", b"1"))
    await asyncio.sleep(0)  # until it is queued

    pool.unload("a")

    assert (await last).output_json == b'["a",1]'
    await until(lambda: len(results) == 2)
    assert pool.worker_pids("slow") == pids


async def test_a_worker_without_room_for_another_program_is_replaced_by_one():
    heavy = "TABLE = tuple('x' * 1000 + str(i) for i in range(9000))\n\n\ndef run(input_data):\n"
    async with Pool(
        PoolSettings(isolation=Isolation.SHARED, workers_per_version=1, memory_limit_mb=16)
    ) as pool:
        for word in "abcd":
            await pool.load(word, ProgramSource(source=f"{heavy}    return {word!r}\n"))

        for _ in range(3):
            await asyncio.gather(*(pool.call(word, b"1") for word in "abcd"))

        assert pool.stats().respawns  # one was full
        assert len([pid for word in "abcd" for pid in pool.worker_pids(word)]) == 1
