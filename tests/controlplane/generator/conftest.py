"""Corpora small enough to train on in a test, and the given data sets where they are present."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from controlplane.generator.protocol import Example, TaskBrief

PROJECT = Path(__file__).parents[3]

TOPICS = {
    "billing": "invoice refund charged twice payment card statement",
    "delivery": "parcel courier late tracking address doorstep",
    "login": "password reset locked account sign code",
}
FILLERS = "hello please the my about with today again your could not is this why still"


def support_messages(count: int, *, topics: tuple[str, ...] = tuple(TOPICS)) -> list[Example]:
    """Return distinct messages, each with two words of its topic among fillers; always the same."""
    dice = random.Random(7)
    examples = []
    for number in range(count):
        topic = topics[number % len(topics)]
        words = dice.sample(FILLERS.split(), 4) + dice.sample(TOPICS[topic].split(), 2)
        dice.shuffle(words)
        examples.append(Example(input={"text": f"{' '.join(words)} {number}"}, output=topic))
    return examples


@pytest.fixture
def messages() -> Callable[..., list[Example]]:
    return support_messages


@pytest.fixture
def task() -> TaskBrief:
    return TaskBrief(
        name="support-router",
        description="Send each message to the team that can help.",
        input_schema={"type": "object"},
        output_schema={"type": "string"},
        accuracy_target=0.9,
        latency_target_ms=10,
    )


def quiet(_fraction: float) -> None:
    """Take a report of progress and do nothing."""


@pytest.fixture
def load_program() -> Callable[[str], Callable[[Any], Any]]:
    """Return the run function of a program's text, in this process."""

    def load(source: str) -> Callable[[Any], Any]:
        module: dict[str, Any] = {"__name__": "program"}
        exec(compile(source, "program.py", "exec"), module)  # noqa: S102 # our own generator wrote it
        return module["run"]

    return load


@pytest.fixture
def data_rows() -> Callable[[str], list[Example]]:
    """Read a given file, such as "sms_spam.train"; skip where it is absent."""

    def read(name: str) -> list[Example]:
        folder = Path(os.environ.get("LOOPAI_TEST_DATA", PROJECT / "../shared/data"))  # tests' own
        path = folder / "text" / f"{name}.jsonl"
        if not path.is_file():
            pytest.skip(f"{path} is absent: set LOOPAI_TEST_DATA to the folder of the given data")
        # Not splitlines: e-mails hold other line separators, which JSON leaves as they are.
        rows = [json.loads(line) for line in path.read_text().split("\n") if line]
        return [Example(input={"text": row["text"]}, output=row["label"]) for row in rows]

    return read
