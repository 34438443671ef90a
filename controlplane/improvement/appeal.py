"""What a person is shown when the loop asks for help.

Pure. Never: holds more of a text than the edge's privacy mode let through.
"""

from collections.abc import Sequence
from typing import Any

from controlplane.improvement.alarm import FailureEstimate
from controlplane.improvement.patterns import Pattern
from controlplane.reviews.labels import Labelled, canonical

MAX_EXAMPLES = 20
SURE = 0.9  # a program so sure that contradicts its oracle makes the oracle doubtful


def compose(
    failing: FailureEstimate,
    patterns: Sequence[Pattern],
    labelled: Sequence[Labelled],
    evaluation: dict[str, Any],
) -> dict[str, Any]:
    """Return plain JSON: rate with interval, slices, newest failures, doubtful labels.

    labelled: oldest first.
    """
    failures = [row for row in reversed(labelled) if row.is_failure]
    return {
        "failure_rate": failing.as_json(),
        "slices": [pattern.as_json() for pattern in patterns],
        "examples": [_shown(row) for row in failures[:MAX_EXAMPLES]],
        "suspected_label_errors": [_shown(row) for row in _suspects(labelled)[:MAX_EXAMPLES]],
        "last_evaluation": evaluation,
    }


def _suspects(labelled: Sequence[Labelled]) -> list[Labelled]:
    """Return oracles' labels that contradict each other, then those that a sure program denies."""
    labels: dict[bytes, set[bytes]] = {}
    for row in labelled:
        labels.setdefault(canonical(row.input), set()).add(canonical(row.label))
    newest = [row for row in reversed(labelled) if not row.is_human]
    torn = [row for row in newest if len(labels[canonical(row.input)]) > 1]
    torn_ids = {row.execution_id for row in torn}
    denied = [row for row in newest if row.is_failure and (row.confidence or 0.0) >= SURE]
    denied.sort(key=lambda row: -(row.confidence or 0.0))
    return torn + [row for row in denied if row.execution_id not in torn_ids]


def _shown(row: Labelled) -> dict[str, Any]:
    return {
        "execution_id": row.execution_id,
        "input": row.input,
        "output": row.output,
        "label": row.label,
        "labelled_by": "person" if row.is_human else "oracle",
        "confidence": row.confidence,
        "version": row.version,
    }
