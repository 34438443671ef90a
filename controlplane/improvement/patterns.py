"""Where a program goes wrong, in words: which answer it gives for which, and in what texts.

First the confusions, by the Wilson lower bound of their share. Then, within each, the words that
set its texts apart: log-odds with an informative Dirichlet prior, so that rare words do not shout;
of all words asked about, those that the Benjamini-Hochberg procedure lets stand; of these the
strongest, and then again among the texts that it does not cover, so that slices do not overlap.

Sources: Monroe, Colaresi and Quinn, "Fightin' Words", Political Analysis 2008; Benjamini and
Hochberg, JRSS B 1995; Wilson 1927. Pure. Never: holds a text; a pattern names words only.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from math import erfc, log, sqrt
from typing import Any

import orjson

from controlplane.generator.features import words_of
from controlplane.reviews.labels import Labelled, canonical
from edged.decisions.intervals import wilson_lower

MIN_SUPPORT = 3  # failures; fewer are anecdotes
MAX_CONFUSIONS = 6
MAX_SLICES = 3  # of one confusion
MAX_FALSE = 0.05  # share of false finds among the words named, as Benjamini and Hochberg count
LONGEST = 3  # words of a phrase
PRIOR_WORDS = 10.0  # how much the texts at large weigh against those of a slice


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One kind of failure. phrase "": all texts of the confusion."""

    words: str
    output: Any
    label: Any
    phrase: str
    failures: int
    answers: int  # with this output, and this phrase in the text
    share_low: float  # Wilson lower bound of failures among the answers

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """A labelled execution with the phrases of its text."""

    row: Labelled
    phrases: frozenset[str] = field(repr=False)


def find(rows: Sequence[Labelled]) -> list[Pattern]:
    """Return the patterns, the most frequent first; rows: any channel, right and wrong ones."""
    read = [Read(row=row, phrases=phrases_of(row.input)) for row in rows]
    found = []
    for output, label, failed in _confusions(read):
        answered = [each for each in read if canonical(each.row.output) == canonical(output)]
        phrases = _slices(failed, [each for each in answered if not each.row.is_failure] or read)
        found += [_pattern(output, label, phrase, failed, answered) for phrase in phrases or [""]]
    silent = sum(each.row.output is None for each in read)
    if silent >= MIN_SUPPORT:
        found.append(_silence(silent, len(read)))
    return found


def phrases_of(value: Any) -> frozenset[str]:
    """Return the words of an input, and neighbours of up to three."""
    words = words_of(" ".join(_texts(value)))
    return frozenset(
        " ".join(words[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(words) - length + 1)
    )


def _texts(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in value for text in _texts(part)]
    return [value] if isinstance(value, str) else []


def _confusions(read: Sequence[Read]) -> list[tuple[Any, Any, list[Read]]]:
    """Return (output, label, failures), most of them first."""
    groups: dict[tuple[bytes, bytes], list[Read]] = {}
    for each in read:
        if each.row.is_failure and each.row.output is not None:
            key = (canonical(each.row.output), canonical(each.row.label))
            groups.setdefault(key, []).append(each)
    large = [group for group in groups.values() if len(group) >= MIN_SUPPORT]
    large.sort(key=len, reverse=True)
    return [(group[0].row.output, group[0].row.label, group) for group in large[:MAX_CONFUSIONS]]


def _slices(failed: Sequence[Read], others: Sequence[Read]) -> list[str]:
    """Return phrases that set the failed texts apart, each for texts that the last one left."""
    found: list[str] = []
    left = list(failed)
    while len(left) >= MIN_SUPPORT and len(found) < MAX_SLICES:
        phrase = _strongest(left, others)
        if phrase is None:
            break
        found.append(phrase)
        left = [each for each in left if phrase not in each.phrases]
    return found


def _strongest(failed: Sequence[Read], others: Sequence[Read]) -> str | None:
    inside, outside = _counts(failed), _counts(others)
    total_in, total_out = sum(inside.values()), sum(outside.values())
    scores = {
        phrase: _log_odds(
            (count, total_in),
            (outside[phrase], total_out),
            prior=PRIOR_WORDS * (count + outside[phrase]) / (total_in + total_out),
        )
        for phrase, count in inside.items()
        if count >= MIN_SUPPORT
    }
    standing = _standing({phrase: erfc(z / sqrt(2)) / 2 for phrase, z in scores.items()})
    # Of equally telling phrases the longest explains most: "what is the" rather than "the".
    ranked = sorted(standing, key=lambda phrase: (-scores[phrase], -len(phrase), phrase))
    return ranked[0] if ranked else None


def _counts(read: Sequence[Read]) -> Counter[str]:
    return Counter(phrase for each in read for phrase in each.phrases)


def _log_odds(inside: tuple[int, int], outside: tuple[int, int], *, prior: float) -> float:
    """Return the z-score of the difference of log-odds. Source: Monroe et al., equations 15-22."""

    def odds(count: int, total: int) -> float:
        return log(count + prior) - log(total + PRIOR_WORDS - count - prior)

    variance = 1 / (inside[0] + prior) + 1 / (outside[0] + prior)
    return (odds(*inside) - odds(*outside)) / sqrt(variance)


def _standing(p_values: dict[str, float]) -> list[str]:
    """Return the names that stand. Source: Benjamini and Hochberg's step-up procedure."""
    ranked = sorted(p_values, key=lambda name: p_values[name])
    passed = [
        rank
        for rank, name in enumerate(ranked, start=1)
        if p_values[name] <= MAX_FALSE * rank / len(ranked)
    ]
    return ranked[: max(passed, default=0)]


def _pattern(
    output: Any, label: Any, phrase: str, failed: Sequence[Read], answered: Sequence[Read]
) -> Pattern:
    failures = sum(not phrase or phrase in each.phrases for each in failed)
    answers = sum(not phrase or phrase in each.phrases for each in answered)
    where = f" when the text has '{phrase}'" if phrase else ""
    words = f"{_shown(label)} predicted as {_shown(output)}{where}: {failures} of {answers} answers"
    return Pattern(
        words=words,
        output=output,
        label=label,
        phrase=phrase,
        failures=failures,
        answers=answers,
        share_low=round(wilson_lower(failures, answers), 4),
    )


def _silence(silent: int, total: int) -> Pattern:
    return Pattern(
        words=f"no answer at all: {silent} of {total} executions",
        output=None,
        label=None,
        phrase="",
        failures=silent,
        answers=total,
        share_low=round(wilson_lower(silent, total), 4),
    )


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()[:80]
