"""A program given full Python looks for secrets everywhere; there is none to be found.

What the process that owns the pool knows (keys, its environment, other programs, their inputs) was
never in the zygote, so it is not in a worker's memory: neither where Python looks nor in the bytes.
"""

import json
import os
import secrets
import subprocess
import sys

import pytest

from edged.pool.pool import Pool, ProgramSource
from edged.pool.settings import PoolSettings
from edged.pool.zygote import Image
from edged.sandbox.layers import LANGUAGE
from scripts.support.processes import parent_of
from tests.process_memory import memory_of

SEEKER = """
import gc, os, sys
FILES = ["/proc/self/environ", "/proc/self/maps", "/proc/self/mem", "/proc/1/environ"]
FILES += ["/etc/passwd"]
def texts():
    gc.unfreeze()
    seen, pending = set(), [*gc.get_objects(), os.environ, sys.argv, sys.modules]
    frame = sys._getframe()
    while frame:
        pending += [frame.f_locals, frame.f_globals]
        frame = frame.f_back
    while pending:
        value = pending.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, (str, bytes, bytearray)):
            yield value if isinstance(value, str) else bytes(value).decode("latin-1")
        else:
            pending += gc.get_referents(value)
def readable():
    for path in FILES:
        try:
            open(path).read(1)
            yield path
        except OSError:
            pass
def run(marks):
    # Split in two in the question, or the seeker would find the question itself.
    wanted = [head + tail for head, tail in marks]
    mine = {mark: 0 for mark in wanted}
    for text in texts():
        for mark in wanted:
            if mark in text and len(text) > len(mark):
                mine[mark] += 1
    return {"found": [mark for mark, count in mine.items() if count], "files": list(readable())}
"""
ECHO = "MARK = {mark!r}\ndef run(value):\n    return value\n"


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    """A secret that this process knows by its environment and by its memory."""
    mark = secrets.token_hex(16)
    monkeypatch.setenv("LOOPAI_API_KEY", f"key-{mark}")
    return mark


async def test_a_program_with_full_python_finds_nothing_that_is_not_its_own(mark):
    other_program, other_input = secrets.token_hex(16), secrets.token_hex(16)
    settings = PoolSettings(time_limit_ms=20_000)
    async with Pool(settings, Image(without=frozenset({LANGUAGE}))) as pool:
        await pool.load("other", ProgramSource(source=ECHO.format(mark=f"text-{other_program}")))
        await pool.call("other", json.dumps({"text": f"text-{other_input}"}).encode())
        await pool.load("seeker", ProgramSource(source=SEEKER))
        marks = [(text[:16], text[16:]) for text in (mark, other_program, other_input)]

        result = await pool.call("seeker", json.dumps(marks).encode())

        assert json.loads(result.output_json) == {"found": [], "files": []}, result.error_message


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can read a worker's memory from outside")
async def test_the_memory_of_zygote_and_worker_holds_no_byte_of_it(mark):
    other = secrets.token_hex(16)
    async with Pool(PoolSettings()) as pool:
        await pool.load("other", ProgramSource(source=ECHO.format(mark=other)))
        await pool.call("other", json.dumps({"text": other}).encode())
        await pool.load("mine", ProgramSource(source=ECHO.format(mark="mine")))
        (mine,), (its,) = pool.worker_pids("mine"), pool.worker_pids("other")
        zygote = parent_of(mine)

        assert other.encode() in memory_of(its)
        for pid in (mine, zygote):
            found = memory_of(pid)
            assert len(found) > 1_000_000
            assert mark.encode() not in found
            assert other.encode() not in found


def test_the_seeker_finds_what_is_there():
    """Or the test above could not fail."""
    mark = secrets.token_hex(16)
    script = (
        f"{SEEKER}\nKEPT = ['key-' + sys.argv[1]]\nprint(run([[sys.argv[1][:9], sys.argv[1][9:]]]))"
    )

    ended = subprocess.run(
        [sys.executable, "-I", "-c", script, mark], capture_output=True, text=True, check=True
    )

    assert mark in ended.stdout
    assert "/etc/passwd" in ended.stdout
