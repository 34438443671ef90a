"""A drift of our own making: people begin to write the most common words in text-speak.

Pure, but for running the artifact on the drifted rows to see how much it suffers.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from scripts.support.rows import Row

WORD = re.compile(r"[A-Za-z]+")
STEPS = (10, 20, 40, 80, 160, 320, 640, 100_000)  # words respelled, until the program suffers
ENOUGH = 0.35  # wrong answers; the trigger is at 0.15


def drifted(rows: list[Row], archive: Path) -> tuple[list[Row], int, float]:
    """Return rows that the program gets wrong often, how many words changed, and how often.

    Classes are made equally frequent where respelling alone does not hurt enough: a wave of what
    used to be rare.
    """
    for pool in (rows, _balanced(rows)):
        ranked = [word for word, _ in _counts(pool).most_common()]
        for number in STEPS:
            changed = [_respelled(row, set(ranked[:number])) for row in pool]
            rate = failure_rate(changed, archive)
            if rate >= ENOUGH or number >= len(ranked):
                break
        if rate >= ENOUGH:
            break
    return changed, min(number, len(ranked)), rate


def failure_rate(rows: list[Row], archive: Path) -> float:
    """Return how often the artifact, run alone, is wrong on the rows."""
    inputs = "".join(json.dumps(row.input) + "\n" for row in rows)
    command = [sys.executable, "-I", str(archive)]
    done = subprocess.run(command, input=inputs.encode(), capture_output=True, check=False)
    answers = [json.loads(line) for line in done.stdout.split(b"\n") if line]
    wrong: int = sum(answer != row.output for answer, row in zip(answers, rows, strict=True))
    return wrong / len(rows)


def _counts(rows: list[Row]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in rows:
        counts.update({word.lower() for text in _texts(row.input) for word in WORD.findall(text)})
    return counts


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [text for text in value.values() if isinstance(text, str)] if value else []


def _respelled(row: Row, words: set[str]) -> Row:
    def respell(match: re.Match[str]) -> str:
        return _text_speak(match[0]) if match[0].lower() in words else match[0]

    if isinstance(row.input, str):
        return Row(WORD.sub(respell, row.input), row.output)
    changed = {
        name: WORD.sub(respell, value) if isinstance(value, str) else value
        for name, value in row.input.items()
    }
    return Row(changed, row.output)


def _text_speak(word: str) -> str:
    """Return `please` as `plsx`: no vowels after the first letter, and an x so that it is new."""
    return word[0] + re.sub("[aeiouAEIOU]", "", word[1:]) + "x"


def _balanced(rows: list[Row]) -> list[Row]:
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(json.dumps(row.output), []).append(row)
    most = max(map(len, by_label.values()))
    return [group[number % len(group)] for group in by_label.values() for number in range(most)]
