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
    """In the order of their arrival. Full: the owner refuses. size_bytes: of all their inputs."""

    def __init__(self) -> None:
        self.size_bytes = 0
        self._calls: deque[Call] = deque()

    def __len__(self) -> int:
        return len(self._calls)

    def put(self, call: Call) -> None:
        self._calls.append(call)
        self.size_bytes += len(call.input_json)

    def put_back(self, calls: Iterable[Call]) -> None:
        """Take back, in front, calls that a worker did not begin."""
        self._calls.extendleft(reversed([*calls]))
        self._measure()

    def take(self, count: int, now_ns: int) -> list[Call]:
        """Return the next calls, answering those whose caller has given up."""
        taken: list[Call] = []
        while self._calls and len(taken) < count:
            call = self._calls.popleft()
            self.size_bytes -= len(call.input_json)
            if 0 < call.deadline_ns <= now_ns:
                call.answer(DEADLINE_IN_QUEUE)
            else:
                taken.append(call)
        return taken

    def take_all(self) -> Iterable[Call]:
        taken, self._calls = self._calls, deque()
        self._measure()
        return taken

    def end_overdue(self, now_ns: int) -> None:
        """Answer those whose caller has given up."""
        overdue = [call for call in self._calls if 0 < call.deadline_ns <= now_ns]
        if overdue:
            self._calls = deque(call for call in self._calls if not 0 < call.deadline_ns <= now_ns)
            self._measure()
        for call in overdue:
            call.answer(DEADLINE_IN_QUEUE)

    def longest_ns(self, now_ns: int) -> int:
        """Return how long the first of them has waited; there must be one."""
        return now_ns - self._calls[0].queued_ns

    def _measure(self) -> None:
        self.size_bytes = sum(len(call.input_json) for call in self._calls)
