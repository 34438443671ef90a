"""Programs on monty, in real jailed workers: what it runs, what it refuses, what stops it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from edged.pool.errors import BackendMissing
from edged.pool.pool import Outcome, Pool, ProgramSource
from edged.pool.settings import Isolation, PoolSettings
from edged.pool.values import Placement
from edged.sandbox.backend import Backend
from edged.sandbox.refusals import ProgramRefused
from tests.edged.pool.test_pool_calls import ECHO

ON_MONTY = Placement(backend=Backend.MONTY)


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    # Time for monty to stop by itself, also on a busy machine.
    settings = PoolSettings(
        time_limit_ms=500, kill_grace_ms=1_000, memory_limit_mb=48, has_monty=True
    )
    async with Pool(settings) as pool:
        yield pool


def on_monty(source: str, **more: bool) -> ProgramSource:
    return ProgramSource(source=source, placement=ON_MONTY, **more)


ORDINARY = """
import re

WORDS = {"refund": 2, "broken": 3, "thanks": -1}
SEEN = []


def score(text):
    return sum(WORDS.get(word, 0) for word in re.findall(r"[a-z]+", text.lower()))


def run(input_data):
    SEEN.append(input_data["text"])
    total = score(input_data["text"])
    return {"label": "complaint" if total > 1 else "other", "score": total, "seen": len(SEEN),
            "text": f"{input_data['text']!r:>20}", "parts": [1, 2.5, None, True, "Grüße"]}
"""


async def test_an_ordinary_program_answers_the_bytes_that_python_answers(pool):
    await pool.load("on_monty", on_monty(ORDINARY))
    await pool.load("on_python", ProgramSource(source=ORDINARY))
    given = b'{"text": "My phone is BROKEN, refund!"}'

    for _ in range(3):
        ours, theirs = [await pool.call(key, given) for key in ("on_monty", "on_python")]

        assert ours.outcome is Outcome.SUCCESS, ours
        assert ours.output_json == theirs.output_json


async def test_a_confidence_is_told_apart_from_the_output(pool):
    source = 'def run(input_data):\n    return {"output": input_data, "confidence": 0.5}\n'
    await pool.load("sure", on_monty(source, returns_confidence=True))

    result = await pool.call("sure", b"[1]")

    assert (result.output_json, result.confidence) == (b"[1]", 0.5)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "class A:\n    pass\n\n\ndef run(input_data):\n    return 1\n",
            "line 1.*class definitions",
        ),
        ("def run(input_data:\n    return 1\n", "line 2.*SyntaxError"),
        ("import collections\n\n\ndef run(input_data):\n    return 1\n", "line 1.*collections"),
        ("x = 1\ny = 1 / 0\n\n\ndef run(input_data):\n    return 1\n", "line 2.*ZeroDivisionError"),
        ("def walk(input_data):\n    return 1\n", "(?i)name 'run' is not defined"),
        ("run = 5\n", "run is no function"),
        ("x = '" + "a" * 70_000 + "'\n\n\ndef run(input_data):\n    return 1\n", "70043 bytes"),
        ("while True: pass\n\n\ndef run(input_data):\n    return 1\n", "too long to load"),
        ("x = 'a' * 10 ** 9\n\n\ndef run(input_data):\n    return 1\n", "too much memory"),
    ],
)
async def test_what_monty_cannot_run_is_refused_with_the_reason(source, reason):
    settings = PoolSettings(load_time_limit_ms=300, memory_limit_mb=48, has_monty=True)
    async with Pool(settings) as pool:
        with pytest.raises(ProgramRefused, match=reason):
            await pool.load("refused", on_monty(source))


async def test_a_pool_without_monty_says_so():
    async with Pool(PoolSettings()) as pool:
        with pytest.raises(BackendMissing, match="without backend monty"):
            await pool.load("on_monty", on_monty(ORDINARY))


BAD = """
def run(input_data):
    if input_data == "spin":
        while True:
            pass
    if input_data == "deaf":
        while True:
            try:
                while True:
                    pass
            except BaseException:
                pass
    if input_data == "count":
        return 10 ** 10 ** 8
    if input_data == "grow":
        kept = []
        while True:
            kept.append("x" * 100_000)
    if input_data == "huge":
        return len("x" * 10 ** 10)
    if input_data == "deep":
        return run(input_data)
    if input_data == "set":
        return {1, 2}
    if input_data == "raise":
        raise ValueError("mine")
    return input_data
"""


@pytest.mark.parametrize(
    ("word", "outcome"),
    [
        ("spin", Outcome.TIMEOUT),
        ("deaf", Outcome.TIMEOUT),
        ("grow", Outcome.MEMORY),
        ("huge", Outcome.MEMORY),
        ("deep", Outcome.ERROR),
        ("set", Outcome.ERROR),
        ("raise", Outcome.ERROR),
    ],
)
async def test_what_overruns_or_fails_is_charged_and_the_next_call_is_answered(pool, word, outcome):
    await pool.load("bad", on_monty(BAD))

    charged, after = await asyncio.gather(
        pool.call("bad", f'"{word}"'.encode()), pool.call("bad", b'"fine"')
    )

    assert charged.outcome is outcome, charged
    assert after.output_json == b'"fine"'
    assert pool.stats().by_key["bad"].kills == 0


async def test_an_operation_that_hears_no_signal_is_killed(pool):
    await pool.load("bad", on_monty(BAD))

    charged = await pool.call("bad", b'"count"')

    assert charged.outcome in (Outcome.TIMEOUT, Outcome.MEMORY)
    assert (await pool.call("bad", b'"fine"')).output_json == b'"fine"'


async def test_an_error_of_the_program_keeps_its_name_and_message(pool):
    await pool.load("bad", on_monty(BAD))

    result = await pool.call("bad", b'"raise"')

    assert (result.error_type, result.error_message) == ("ValueError", "mine")


@pytest.mark.parametrize(
    "attack",
    [
        "open('/etc/passwd').read()",
        "__import__('os').listdir('/')",
        "().__class__.__base__.__subclasses__()",
        "run.__globals__",
        "eval('1')",
        "(lambda: 0).__code__",
        "'{0.__class__}'.format(run)",
        "__builtins__",
    ],
)
async def test_an_attack_gets_nothing(pool, attack):
    await pool.load("attack", on_monty(f"def run(input_data):\n    return str({attack})\n"))

    result = await pool.call("attack", b"1")

    assert result.outcome is Outcome.ERROR, result


@pytest.mark.parametrize(
    "attack",
    [
        "from pathlib import Path\nGOT = lambda: Path('/etc/passwd').read_text()",
        "import os\nGOT = lambda: os.environ['HOME']",
        "import os\nGOT = lambda: os.system('id')",
    ],
)
async def test_its_own_modules_reach_no_file_and_no_environment(pool, attack):
    await pool.load("attack", on_monty(f"{attack}\n\n\ndef run(input_data):\n    return GOT()\n"))

    result = await pool.call("attack", b"1")

    assert result.outcome is Outcome.ERROR, result


async def test_a_fresh_worker_for_each_call_goes_with_monty_too(pool):
    placement = Placement(backend=Backend.MONTY, isolation=Isolation.PER_REQUEST)
    await pool.load("fresh", ProgramSource(source=ECHO.source, placement=placement))

    results = [await pool.call("fresh", b'"a"') for _ in range(3)]

    assert [result.output_json for result in results] == [b'"a"'] * 3
