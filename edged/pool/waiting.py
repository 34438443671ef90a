"""The calls of one version that no worker has yet.

Used by: `version`. Never: lets a call wait on after its caller gave up.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from edged.pool.values import Call, failed
from edged.sandbox.frames import Outcome

DEADLINE_IN_QUEUE: Final = failed(
    Outcome.TIMEOUT,
    "deadline",
    "the caller's deadline passed before the program could run",
    cut_by_caller=True,
)


class Waiting:
    """In the order of their arrival. Full: the owner refuses."""

    def __init__(self) -> None:
        self._calls: deque[Call] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Call) -> None:
        self._calls.append(call)

    def put_back(self, calls: Iterable[Call]) -> None:
        """Take back, in front, calls that a worker did not begin."""
        self._calls.extendleft(reversed([*calls]))

    def take(self, count: int, now_ns: int) -> list[Call]:
        """Return the next calls, answering those whose caller has given up."""
        taken: list[Call] = []
        while self._calls and len(taken) < count:
            call = self._calls.popleft()
            if _is_overdue(call, now_ns):
                call.answer(DEADLINE_IN_QUEUE)
            else:
                taken.append(call)
        return taken

    def take_all(self) -> Iterable[Call]:
        taken, self._calls = self._calls, deque()
        return taken

    def end_overdue(self, now_ns: int) -> None:
        """Answer those whose caller has given up."""
        overdue = [call for call in self._calls if _is_overdue(call, now_ns)]
        if overdue:
            self._calls = deque(call for call in self._calls if not _is_overdue(call, now_ns))
        for call in overdue:
            call.answer(DEADLINE_IN_QUEUE)

    def longest_ns(self, now_ns: int) -> int:
        """Return how long the first of them has waited; there must be one."""
        return now_ns - self._calls[0].queued_ns


def _is_overdue(call: Call, now_ns: int) -> bool:
    return 0 < call.deadline_ns <= now_ns
