"""The artifact's own examples, which a new worker runs for nobody before its first caller's input.

Runs in: the process that owns the pool. Never: counts them among a version's calls.
"""

from edged.pool.values import Call, Result
from edged.pool.worker import Worker
from edged.sandbox.frames import Outcome


class WarmUp:
    """Of one version. Invariant: a worker that is warming holds examples and nothing else."""

    def __init__(self, inputs: tuple[bytes, ...], limit_ns: int) -> None:
        """limit_ns: of the run of one example."""
        self._inputs = inputs
        self._limit_ns = limit_ns
        self._is_worthwhile = bool(inputs)
        self._warming: set[Worker] = set()

    def __contains__(self, worker: Worker) -> bool:
        return worker in self._warming

    def __len__(self) -> int:
        return len(self._warming)

    def begin(self, worker: Worker, now_ns: int) -> None:
        if self._is_worthwhile:
            self._warming.add(worker)
            limit_ns = self._limit_ns
            worker.write(
                [Call(text, self._note, limit_ns, 0, now_ns) for text in self._inputs], now_ns
            )

    def end(self, worker: Worker) -> bool:
        """Let it serve, or take note that it is gone; tell whether it was warming."""
        was_warming = worker in self._warming
        self._warming.discard(worker)
        return was_warming

    def _note(self, result: Result) -> None:
        # An example that costs its worker would cost the next one as well, for ever.
        self._is_worthwhile &= result.outcome is Outcome.SUCCESS
