"""The log of rollout decisions, each with the evidence behind it.

Runs in: the agent. Talks to: datasets/<task>/decisions/<date>.jsonl. Never: rewrites a line; one
that repeats after a kill has the id it had before.
"""

from collections.abc import Callable
from uuid import NAMESPACE_URL, uuid5

import orjson

from edged.agent.rollout_file import RolloutState
from edged.datasets.layout import Layout
from edged.datasets.records import Timestamps
from edged.datasets.writer import LogWriter
from edged.decisions.rollout import Action


class DecisionLog:
    """Appends before the decision is carried out. clock: seconds since the epoch."""

    def __init__(self, layout: Layout, clock: Callable[[], float]) -> None:
        self._log = LogWriter(layout, "decisions", clock)
        self._clock = clock
        self._timestamps = Timestamps()

    def append(self, before: RolloutState, action: Action) -> None:
        """Write one line. Raises LogUnwritable."""
        place = f"{before.progress.phase}/{before.progress.stage}"
        line = {
            "decision_id": _decision_id(before, action, place),
            "rollout_id": before.plan.rollout_id,
            "task": before.task,
            "version": before.candidate.version,
            "from_phase": str(before.progress.phase),
            "phase": str(action.progress.phase),
            "stage": action.progress.stage,
            "weight": action.progress.weight(before.plan),
            "verdict": str(action.verdict),
            "action": str(action.kind),
            "reason": action.reason,
            "evidence": [evidence.as_json() for evidence in action.evidence],
            "decided_at": self._timestamps.text(self._clock()),
        }
        self._log.append(before.task, [orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)])

    def let_past_days_go(self) -> None:
        """See LogWriter."""
        self._log.let_past_days_go()

    def close(self) -> None:
        self._log.close()


def _decision_id(before: RolloutState, action: Action, place: str) -> str:
    """Return the same id when a kill makes the same decision be taken again."""
    known = len(action.progress.commands)  # a pause may follow a resume in the same place
    return str(uuid5(NAMESPACE_URL, f"{before.plan.rollout_id}/{place}/{action.kind}/{known}"))
