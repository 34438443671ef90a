"""A drift of our own making: people begin to write the most common words in text-speak.

Pure, but for running the artifact on the drifted rows to see how much it suffers.
"""

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.support.rows import Row

WORD = re.compile(r"[A-Za-z]+")
SIGNS = re.compile(r"[^\w\s]|\d|_")
SIGNS_STAY = re.compile(r"(?!)")
STEPS = (10, 20, 40, 80, 160, 320, 640)  # words respelled, until the program suffers
ENOUGH = 0.35  # wrong answers; the trigger is at 0.15


@dataclass(frozen=True, slots=True)
class Drift:
    """Drifted rows, what was done to them, and how often the program is wrong on them."""

    rows: list[Row]
    words: str
    rate: float


def drifted(rows: list[Row], archive: Path) -> Drift:
    """Return the mildest drift under which the program suffers enough, or the worst there is.

    First common words are respelled, more and more; then digits and signs go as well, as in
    dictation; then classes become equally frequent: a wave of what used to be rare.
    """
    worst: Drift | None = None
    for drift in _drifts(rows):
        found = Drift(*drift, failure_rate(drift[0], archive))
        if found.rate >= ENOUGH:
            return found
        if worst is None or found.rate > worst.rate:
            worst = found
    if worst is None:
        raise ValueError("there are no requests to drift")
    return worst


def _drifts(rows: list[Row]) -> Iterator[tuple[list[Row], str]]:
    for pool, wave in ((rows, ""), (_balanced(rows), ", and what was rare becomes common")):
        ranked = [word for word, _ in _counts(pool).most_common()]
        for number in [step for step in STEPS if step < len(ranked)] + [len(ranked)]:
            changed = [_changed(row, set(ranked[:number]), SIGNS_STAY) for row in pool]
            yield changed, f"{number} words are spelled anew{wave}"
        changed = [_changed(row, set(ranked), SIGNS) for row in pool]
        yield changed, f"{len(ranked)} words are spelled anew, without digits and signs{wave}"


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


def _changed(row: Row, words: set[str], dropped: re.Pattern[str]) -> Row:
    def respell(match: re.Match[str]) -> str:
        return _text_speak(match[0]) if match[0].lower() in words else match[0]

    def change(value: Any) -> Any:
        return WORD.sub(respell, dropped.sub(" ", value)) if isinstance(value, str) else value

    if isinstance(row.input, dict):
        return Row({name: change(value) for name, value in row.input.items()}, row.output)
    return Row(change(row.input), row.output)


def _text_speak(word: str) -> str:
    """Return `please` as `plsx`: no vowels after the first letter, and an x so that it is new."""
    return word[0] + re.sub("[aeiouAEIOU]", "", word[1:]) + "x"


def _balanced(rows: list[Row]) -> list[Row]:
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        by_label.setdefault(json.dumps(row.output), []).append(row)
    most = max(map(len, by_label.values()))
    return [group[number % len(group)] for group in by_label.values() for number in range(most)]
