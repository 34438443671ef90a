"""What a new program learns from, and what is sealed away to judge it by.

It learns from the task's examples and all labelled executions together: failures alone teach only
failures (four rounds on AG News: .676 against .735). The rules that decide between old and new:

1. One input, one label: a person's wins over an oracle's, then the newest, and any of them over
   the example.
2. A region is an answer of a program, alone or with a phrase of a found pattern. Where most of the
   newest labelled executions of a region contradict its answer (Wilson lower bound above one
   half), the world may have changed there: examples and older labels that still say so are left
   out, if a model without them is shown to do better (see staleness.py).
3. A share of the inputs, chosen by a hash and so for ever, is never learnt from. The newest audit
   labels among them are the sealed rows: audit only, because the hunting channels look for the
   incumbent's failures, and any other program looks good on those.

Pure. Never: repeats or weights a row; the generator's scores count rows.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from controlplane.generator.protocol import Example
from controlplane.improvement.patterns import Pattern, phrases_of
from controlplane.improvement.settings import ImprovementSettings
from controlplane.improvement.staleness import is_better_without
from controlplane.reviews.labels import AUDIT, Labelled, canonical
from edged.contract.schema import Schema
from edged.decisions.intervals import wilson_lower

LATELY = 30  # newest labels of a region that speak for it
MIN_SPEAKING = 5
JUDGING = 200  # newest labelled rows that decide whether old ones are left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Material:
    """Rows to learn from and rows to be judged by, with what was left out and why."""

    examples: tuple[Example, ...]
    sealed: tuple[Labelled, ...]
    learnt: int  # labelled executions among the examples
    overruled: int  # examples whose input has another label now
    stale: int  # examples and labels of regions that changed
    unfit: int  # labels that the task's schemas do not permit

    @property
    def words(self) -> str:
        return (
            f"{len(self.examples)} rows to learn from, {self.learnt} of them labelled executions; "
            f"{len(self.sealed)} sealed; left out: {self.overruled} examples overruled, "
            f"{self.stale} stale, {self.unfit} labels against the schema"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A row that could be learnt from; new ones are of the time after the world changed."""

    example: Example
    is_new: bool


def assemble(
    originals: Sequence[Example],
    labelled: Sequence[Labelled],
    patterns: Sequence[Pattern],
    permits: Callable[[Labelled], bool],
    settings: ImprovementSettings,
) -> Material:
    """labelled: oldest first."""
    fit = [row for row in labelled if permits(row)]
    newest = _one_per_input(fit)
    known = {canonical(example.input) for example in originals}
    hidden = {key for key in newest if key not in known and _is_hidden(key, settings.sealed_share)}
    sealed = [row for key, row in newest.items() if key in hidden and row.channel == AUDIT]
    open_rows = {key: row for key, row in newest.items() if key not in hidden}
    kept = [example for example in originals if canonical(example.input) not in open_rows]
    changes = _changes(fit, patterns)
    rows = [Row(example=each, is_new=False) for each in kept]
    rows += [
        Row(
            example=Example(input=row.input, output=row.label),
            is_new=row.execution_id in changes.execution_ids,
        )
        for row in open_rows.values()
    ]
    current, stale = _without_stale(
        rows, changes, newest=[row.example for row in rows[len(kept) :]]
    )
    return Material(
        examples=current,
        sealed=tuple(sealed[-settings.max_sealed :]),
        learnt=len(open_rows),
        overruled=len(originals) - len(kept),
        stale=stale,
        unfit=len(labelled) - len(fit),
    )


def _without_stale(
    rows: Sequence["Row"], changes: "_Changes", *, newest: Sequence[Example]
) -> tuple[tuple[Example, ...], int]:
    """Return the rows to learn from, and how many were left out."""
    stale = [row.example for row in rows if changes.contradicts(row)]
    current = [row.example for row in rows if not changes.contradicts(row)]
    if stale and is_better_without(current, stale, newest[-JUDGING:]):
        return tuple(current), len(stale)
    return tuple(row.example for row in rows), 0


def permitting(
    input_schema: dict[str, Any], output_schema: dict[str, Any]
) -> Callable[[Labelled], bool]:
    """Return whether a labelled execution keeps to the schemas: a filter may have changed it."""
    inputs, outputs = Schema(input_schema), Schema(output_schema)

    def permits(row: Labelled) -> bool:
        return (
            inputs.breach(row.input, root="input") is None
            and outputs.breach(row.label, root="output") is None
        )

    return permits


@dataclass(frozen=True, slots=True, kw_only=True)
class _Changes:
    """Regions that changed, and the executions that say so."""

    regions: tuple[tuple[bytes, str], ...]  # (canonical answer, phrase or "")
    execution_ids: frozenset[str]

    def contradicts(self, row: Row) -> bool:
        if row.is_new or not self.regions:
            return False
        label = canonical(row.example.output)
        phrases = [phrase for answer, phrase in self.regions if answer == label]
        return bool(phrases) and (
            "" in phrases or not phrases_of(row.example.input).isdisjoint(phrases)
        )


def _one_per_input(rows: Iterable[Labelled]) -> dict[bytes, Labelled]:
    """Return input → the row whose label counts, in the order of the labels."""
    found: dict[bytes, Labelled] = {}
    for row in rows:
        key = canonical(row.input)
        if key in found and found[key].is_human and not row.is_human:
            continue
        found.pop(key, None)
        found[key] = row
    return found


def _is_hidden(key: bytes, share: float) -> bool:
    digest = hashlib.blake2b(key, digest_size=8, person=b"loopai.sealed").digest()
    return int.from_bytes(digest, "big") < share * 2**64


def _changes(rows: Sequence[Labelled], patterns: Sequence[Pattern]) -> _Changes:
    """Look at each region that a pattern names, with and without its phrase."""
    named = {(canonical(each.output), phrase) for each in patterns for phrase in (each.phrase, "")}
    changed, speaking = [], set[str]()
    for answer, phrase in sorted(named):
        region = [
            row
            for row in rows
            if canonical(row.output) == answer
            and row.output is not None
            and (not phrase or phrase in phrases_of(row.input))
        ]
        lately = region[-LATELY:]
        wrong = sum(row.is_failure for row in lately)
        if len(lately) >= MIN_SPEAKING and wilson_lower(wrong, len(lately)) > 0.5:
            changed.append((answer, phrase))
            speaking |= {row.execution_id for row in lately}
    return _Changes(regions=tuple(changed), execution_ids=frozenset(speaking))
