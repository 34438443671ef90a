"""What the decisions of all edges add up to for one rollout.

Pure. Never: overrules an edge: one that rolled back ends the rollout everywhere.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

RUNNING, PAUSED = "running", "paused"
PROMOTED, ROLLED_BACK, WITHDRAWN, ABORTED = "promoted", "rolled_back", "withdrawn", "aborted"
FINAL = (PROMOTED, ROLLED_BACK, WITHDRAWN, ABORTED)
FAIL = "FAIL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """An edge's decision, as far as it counts here."""

    deployment_id: str
    action: str
    verdict: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Conclusion:
    """How a rollout ended, and why."""

    status: str
    reason: str


def conclude(words: Sequence[Word], live: Collection[str]) -> Conclusion | None:
    """Return the end, None while edges are still under way.

    words: in the order in which they came. live: edges that serve the task and are connected.
    A rollback without a FAIL is a withdrawal: nothing was shown against the version.
    """
    for word in words:
        if word.action == "roll_back":
            status = ROLLED_BACK if word.verdict == FAIL else WITHDRAWN
            return Conclusion(status=status, reason=f"edge {word.deployment_id}: {word.reason}")
    promoted = {word.deployment_id for word in words if word.action == "promote"}
    if promoted and not set(live) - promoted:
        count = len(promoted)
        return Conclusion(
            status=PROMOTED, reason=f"promoted by {count} edge{'s' if count > 1 else ''}"
        )
    return None
