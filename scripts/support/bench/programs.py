"""Compare generated programs in a jailed worker with plain Python: same answers, what time.

For each data set the strategies `ml` and `rule` learn from its training rows; what they emit
answers its test rows in a plain interpreter, from JSON to JSON as an artifact's ZIP does, and in a
worker. A program with 20,000 weights stands beside them.

Runs in: scripts/bench programs. Talks to: a pool and an interpreter of its own. Exit code 1 when an
answer differs or a program takes more than 1.3 times its plain time.
"""

import argparse
import asyncio
import json
import logging
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import structlog

from edged.pool.pool import Outcome, Pool, ProgramSource, Result
from edged.pool.settings import PoolSettings
from scripts.support import menu
from scripts.support.rows import Row, read_rows

ROOT: Final = Path(__file__).resolve().parents[3]
SETS: Final = (
    "sms_spam", "spamassassin_email", "snips7", "trec6", "vader_tweets", "clinc_domain10",
)  # fmt: skip
WEIGHTS: Final = '''"""Twenty thousand weights, built once from one string."""
BLOB = " ".join(f"word{n} {n % 19 - 9}" for n in range(20_000))
PARTS = BLOB.split()
WEIGHTS = {word: int(weight) for word, weight in zip(PARTS[::2], PARTS[1::2])}


def run(input_data):
    return sum(WEIGHTS.get(word, 0) for word in input_data["text"].split())
'''
BATCH: Final = 256
LEAST_S: Final = 2.0  # of rounds, for a program
MOST_RATIO: Final = 1.3
PLAIN: Final = """
import json, sys, time
told = json.loads(sys.stdin.readline())
names = {"__name__": "program"}
exec(compile(told["source"], "program.py", "exec"), names)
run, returns_confidence = names["run"], told["returns_confidence"]
now, read = time.perf_counter_ns, json.loads
write = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode
for _ in sys.stdin:
    answers, times_us = [], []
    for text in told["inputs"]:
        begun_ns = now()
        result, confidence = run(read(text)), None
        if returns_confidence:
            result, confidence = result["output"], result["confidence"]
        answer = write(result)
        times_us.append((now() - begun_ns) / 1e3)
        answers.append((answer, confidence))
    print(json.dumps({"answers": answers, "times_us": times_us}), flush=True)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """A program, and what it is asked."""

    name: str
    source: str
    returns_confidence: bool
    inputs: Sequence[bytes]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    data = os.environ.get("LOOPAI_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    parser.add_argument("--data", type=Path, default=Path(data), help="holds text/*.jsonl")
    parser.add_argument("--rows", type=int, default=3_000, help="to learn from, a set; 0: all")
    parser.add_argument("--rounds", type=menu.count, default=5)


def run(_folder: Path, options: argparse.Namespace, say: Callable[[str], None]) -> dict[str, Any]:
    """Return, for each program, whether it answers alike and at what ratio of time."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    subjects = [*_generated(options.data, options.rows, say), _weights()]
    _stay_on_one_core()
    programs = asyncio.run(_compare_all(subjects, options.rounds, say))
    return {
        "programs": programs,
        "identical": all(program["identical"] for program in programs),
        "worst_ratio": max(program["ratio"] for program in programs),
        "python": platform.python_version(),
    }


def is_good(report: dict[str, Any]) -> bool:
    """Say whether every program answers alike, and none is much slower."""
    return bool(report["identical"]) and report["worst_ratio"] <= MOST_RATIO


def describe(report: dict[str, Any]) -> str:
    """Return the comparison in words."""
    return "\n".join(
        f"{program['name']:<28} {program['rows']:>5} rows,"
        f" {'same answers' if program['identical'] else 'DIFFERENT ANSWERS'},"
        f" plain {program['plain_us']:>7.1f} us, worker {program['worker_us']:>7.1f} us,"
        f" ratio {program['ratio']:.2f}"
        for program in report["programs"]
    )


def _generated(data: Path, rows: int, say: Callable[[str], None]) -> Iterator[Subject]:
    from controlplane.generator.ml import MlGenerator
    from controlplane.generator.protocol import Example, TaskBrief
    from controlplane.generator.rule import RuleGenerator

    brief = TaskBrief(
        name="bench", description="", input_schema={}, output_schema={}, accuracy_target=0.9,
        latency_target_ms=10.0,
    )  # fmt: skip
    for name in SETS:
        training = _spread(read_rows(data / "text" / f"{name}.train.jsonl"), rows)
        examples = [Example(input=row.input, output=row.output) for row in training]
        inputs = [_text(row.input) for row in read_rows(data / "text" / f"{name}.test.jsonl")]
        for generator in (MlGenerator(), RuleGenerator()):
            if generator.unsuited(brief, examples):
                continue
            say(f"{name}: {generator.strategy} learns from {len(examples)} rows")
            candidate = generator.propose(brief, examples, lambda _fraction: None)
            yield Subject(
                name=f"{name} {generator.strategy}",
                source=candidate.source,
                returns_confidence=candidate.returns_confidence,
                inputs=inputs,
            )


def _stay_on_one_core() -> None:
    """Have both ways run on the same core: of two that are shared with others, one may be slow."""
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def _weights() -> Subject:
    inputs = [_text({"text": f"word{n} word{2 * n} none"}) for n in range(1_000)]
    return Subject(name="20000 weights", source=WEIGHTS, returns_confidence=False, inputs=inputs)


async def _compare_all(
    subjects: Sequence[Subject], rounds: int, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    settings = PoolSettings(workers_per_version=1, load_time_limit_ms=30_000)
    async with Pool(settings) as pool:
        programs = []
        for subject in subjects:
            programs.append(await _compare(pool, subject, rounds))
            say(f"{subject.name}: ratio {programs[-1]['ratio']:.2f}")
        return programs


async def _compare(pool: Pool, subject: Subject, rounds: int) -> dict[str, Any]:
    """Answer every input in both ways, in turn, `rounds` times or more.

    Of each the quickest counts: what a busy machine adds is nobody's, and it is rarely so for long.
    """
    source = ProgramSource(
        source=subject.source,
        returns_confidence=subject.returns_confidence,
        source_bytes_limit=len(subject.source.encode()) + 1,
    )
    await pool.load(subject.name, source)
    is_identical = True
    plain: list[Sequence[float]] = []
    worker: list[Sequence[float]] = []
    with _PlainPython(subject) as python:
        until_s = time.monotonic() + LEAST_S
        while len(plain) < rounds or time.monotonic() < until_s:
            expected, times_us = python.answer_all()
            plain.append(times_us)
            answers, times_us = await _ask_worker(pool, subject)
            worker.append(times_us)
            is_identical = is_identical and answers == expected
    pool.unload(subject.name)
    plain_us, worker_us = _quickest(plain), _quickest(worker)
    return {
        "name": subject.name,
        "rows": len(subject.inputs),
        "source_bytes": len(subject.source.encode()),
        "identical": is_identical,
        "plain_us": round(plain_us, 2),
        "worker_us": round(worker_us, 2),
        "ratio": round(worker_us / plain_us, 3),
    }


def _quickest(rounds: Sequence[Sequence[float]]) -> float:
    """Return the mean over the inputs of each one's quickest time."""
    return statistics.fmean(map(min, zip(*rounds, strict=True)))


Answers = list[tuple[str, float | None] | str]


class _PlainPython:
    """An interpreter of its own that runs one program as an artifact's ZIP does."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject

    def __enter__(self) -> Self:
        command = [sys.executable, "-I", "-c", PLAIN]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._write(
            {
                "source": self._subject.source,
                "returns_confidence": self._subject.returns_confidence,
                "inputs": [text.decode() for text in self._subject.inputs],
            }
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self._process.communicate()

    def answer_all(self) -> tuple[Answers, list[float]]:
        """Return the answers, and how long each took in µs."""
        self._write("again")
        line = json.loads(self._process.stdout.readline())  # type: ignore[union-attr]
        return [tuple(answer) for answer in line["answers"]], line["times_us"]

    def _write(self, message: object) -> None:
        stdin = self._process.stdin
        if stdin is not None:
            stdin.write(json.dumps(message) + "\n")
            stdin.flush()


async def _ask_worker(pool: Pool, subject: Subject) -> tuple[Answers, list[float]]:
    """Ask in batches, so that the worker answers one after the other, as the plain one does."""
    answers: Answers = []
    times_us = []
    for batch in _batches(subject.inputs):
        for result in await _ask(pool, subject.name, batch):
            if result.outcome is Outcome.SUCCESS:
                answers.append((result.output_json.decode(), result.confidence))
            else:
                answers.append(f"{result.error_type}: {result.error_message}")
            times_us.append(result.run_ms * 1e3)
    return answers, times_us


def _batches(inputs: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for at in range(0, len(inputs), BATCH):
        yield inputs[at : at + BATCH]


async def _ask(pool: Pool, key: str, batch: Sequence[bytes]) -> list[Result]:
    loop = asyncio.get_running_loop()
    waiting = [loop.create_future() for _ in batch]
    for text, future in zip(batch, waiting, strict=True):
        pool.submit(key, text, future.set_result)
    return list(await asyncio.gather(*waiting))


def _spread(rows: list[Row], count: int) -> list[Row]:
    """Return `count` rows, evenly spread: the files may be sorted; all when 0."""
    return rows[:: max(1, len(rows) // count)][:count] if count else rows


def _text(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
