"""One program version: the calls that wait for it, and which worker gets them.

Runs in: the process that owns the pool. Talks to: its workers, and the crew that lends them. Never:
starts a process, or reads a result; how many workers there are is staff.py's.

Calls that arrive in one turn of the event loop are handed over together at its end. A worker holds
about one millisecond of work ahead (`verdicts.calls_ahead`), so a slow program's calls wait here,
where any worker can take them and a caller's deadline can end them.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from edged.pool.errors import CallsCapped, LoadFailed, PoolFull, Quarantined
from edged.pool.lender import Lender
from edged.pool.pace import Pace
from edged.pool.settings import PoolSettings
from edged.pool.staff import Staff
from edged.pool.strikes import Strikes
from edged.pool.terms import Terms, order_of
from edged.pool.values import Call, ProgramSource, VersionStats, lost, ns_of
from edged.pool.verdicts import Cause, Settlement, retry_after_ms, settle
from edged.pool.waiting import Waiting
from edged.pool.warmup import WarmUp
from edged.pool.worker import Stage, Worker
from edged.sandbox.frames import Load
from edged.sandbox.page import Running

_WATCH_QUEUE_S: Final = 0.005
_MOST_LOSSES: Final = 5
"""Workers lost in a row without one answer, or while they loaded: the program kills its workers
outside of any call, or the machine has no room for them."""


class Version:
    """Invariant: a call waits, is held by one worker, or was answered."""

    def __init__(
        self,
        key: str,
        program: ProgramSource,
        settings: PoolSettings,
        crew: Lender,
        on_unfit: Callable[["Version", str], None],
    ) -> None:
        """on_unfit: told why, when this version has ended its workers too often."""
        terms = Terms.of(program, settings)
        self.key = key
        self.program = program
        self.staff = Staff(settings, terms, partial(crew.want, self))
        self.is_retiring = False
        self.last_used_ns = time.monotonic_ns()
        self.kills = 0
        self._loop = asyncio.get_running_loop()
        self.loaded: asyncio.Future[None] = self._loop.create_future()
        self._settings = settings
        self._crew = crew
        self._on_unfit = on_unfit
        self._strikes = Strikes(settings)
        self._unfit = ""  # why it is quarantined
        self._terms = terms
        self._workers = self.staff.workers  # those that serve
        self._warm_up = WarmUp(terms.warm_inputs, ns_of(settings.time_limit_ms / 1e3))
        self._running = 0  # handed to workers, not answered
        self._queue = Waiting()
        self._pace = Pace(settings, terms.ahead_calls)
        self._executions = 0
        self._losses = 0
        self._lost_loads = 0  # in a row
        self._flush: asyncio.Handle | None = None
        self._watch: asyncio.TimerHandle | None = None

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def is_shared(self) -> bool:
        """Whether its workers serve other versions in turn."""
        return self._terms.is_shared

    @property
    def is_busy(self) -> bool:
        """Whether somebody still waits for an answer."""
        return bool(self._queue) or any(worker.held for worker in self.staff)

    def order(self) -> Load:
        """Return what a worker must be told to serve this version."""
        return order_of(self.program, self._settings, is_shared=self.is_shared)

    def start(self) -> bool:
        """Ask for the first worker; False when none can be had now."""
        return self.staff.grow()

    def enqueue(self, call: Call) -> None:
        """Raises PoolFull."""
        queue, terms = self._queue, self._terms
        waiting = len(queue)
        is_full = waiting >= terms.most_waiting or queue.size_bytes >= terms.most_waiting_bytes
        if is_full or waiting + self._running >= terms.most_calls:
            raise self._refusal(PoolFull if is_full else CallsCapped)
        queue.put(call)
        if self._flush is None:
            self._flush = self._loop.call_soon(self._hand_over)

    def join(self, worker: Worker) -> None:
        """Take a worker that has loaded this program."""
        self.staff.coming -= 1
        self._lost_loads = 0
        self._workers.append(worker)
        worker.set_niceness(self._pace.niceness)
        if not self.loaded.done():
            self.loaded.set_result(None)
        elif not self._queue and not self.is_retiring:
            self._warm_up.begin(worker, time.monotonic_ns())
        if worker not in self._warm_up:
            self.staff.relieve()
        if not self.is_retiring:
            self.staff.keep_minimum()
        self._hand_over()
        self._end_turn(worker)

    def answered(self, worker: Worker, calls: int, run_ns: int) -> int:
        """Take note of answers; return how many somebody waited for. run_ns: of all together."""
        self._losses = 0
        self._pace.note(run_ns, calls)
        worker.set_niceness(self._pace.niceness)
        if worker in self._warm_up:
            self._warmed(worker)
            return 0
        self._executions += calls
        self._running -= calls
        if worker.answered >= self._terms.recycle_after_calls and worker in self._workers:
            self.staff.recycle(worker, is_warming=bool(self._warm_up))
        self._end_turn(worker)
        self._hand_over()
        return calls

    def _warmed(self, worker: Worker) -> None:
        # What cost its worker takes nobody's place: the next one comes without examples.
        if not worker.held and worker.stage is Stage.SERVING:
            self._warm_up.end(worker)
            self.staff.relieve()
            self._hand_over()

    def give_up(self, worker: Worker) -> None:
        """Let another version have a shared worker, and get in line for what still waits here."""
        self._workers.remove(worker)
        if self._queue:
            self.staff.grow()

    def _end_turn(self, worker: Worker) -> None:
        is_idle = worker.stage is Stage.SERVING and not worker.held
        if is_idle and worker in self._workers and self._is_last_of_turn:
            self._crew.pass_on(worker)

    @property
    def _is_last_of_turn(self) -> bool:
        """Whether others wait for a shared worker: what one holds now is all it gets."""
        return self.is_shared and self._crew.is_awaited

    def lost(self, worker: Worker, cause: Cause, running: Running) -> int:
        """Settle what a worker held, and replace it if it is missed; return how many it cost."""
        was_serving = self.staff.lose(worker)
        now_ns = time.monotonic_ns()
        settlement = settle(worker.held, running, cause, now_ns)
        cost = self._give_back(worker, settlement)
        if cause is Cause.DEADLINE:
            self.kills += 1
            self._pace.note(self._time_limit_ns)
        self._losses = 0 if settlement.answered or cause is Cause.LEFT else self._losses + 1
        if self._losses >= _MOST_LOSSES:
            self._losses = 0
            self.fail_all("worker_lost", "this program's workers do not stay alive")
        # A worker that left after its last answer names no running call.
        if cause is not Cause.LEFT or running.since_ns:
            self._strike(self._strikes.add(cause, now_ns))
        if not self.is_retiring:
            if was_serving:
                self.staff.replace()
            self.staff.keep_minimum()
        self._hand_over()
        return cost

    def _give_back(self, worker: Worker, settlement: Settlement) -> int:
        """Answer or queue again what a worker held; return how many executions that makes."""
        cost = 0
        if not self._warm_up.end(worker):
            cost = len(settlement.answered)
            self._executions += cost
            self._running -= len(worker.held)
            self._queue.put_back(settlement.again)
        worker.held.clear()
        for call, result in settlement.answered:
            call.answer(result)
        return cost

    def _strike(self, unfit: str) -> None:
        """Put an end to a version that is unfit: what waits is answered, nothing more is run."""
        if unfit and not self._unfit:
            self._unfit = unfit
            self.fail_all(Quarantined.code, str(Quarantined(reason=unfit)))
            self._on_unfit(self, unfit)
        elif self._unfit:
            self.fail_all(Quarantined.code, str(Quarantined(reason=self._unfit)))

    def may_load_again(self, cause: Cause) -> bool:
        """Tell whether another worker may come for one that was lost, or full, while it loaded."""
        self._lost_loads += cause is not Cause.FULL
        is_missed = not self.is_retiring or bool(self._queue)
        return is_missed and self._lost_loads < _MOST_LOSSES

    def could_not_load(self, reason: Exception) -> None:
        """A worker that was coming will not come."""
        self.staff.coming -= 1
        self.refuse_loading(reason)
        if not self._workers and not self.staff.coming:
            self.fail_all("load_failed", str(reason))

    def refuse_loading(self, reason: Exception) -> None:
        """Tell whoever waits for the first worker that there is none."""
        if not self.loaded.done():
            self.loaded.set_exception(reason)
            self.loaded.exception()  # seen: nobody may be waiting

    def fail_all(self, error_type: str, message: str) -> None:
        """Answer everything that waits."""
        result = lost(error_type, message)
        for call in self._queue.take_all():
            call.answer(result)

    def retire(self) -> None:
        """Release the workers once nothing waits."""
        self.is_retiring = True
        self._hand_over()

    def tend(self, now_ns: int) -> None:
        """Ask again for what could not be had; give back what was not needed for long."""
        self.staff.may_ask = True
        if self.loaded.done() and not self.is_retiring:
            self.staff.keep_minimum()
        self.staff.shrink(now_ns - self.last_used_ns)

    def stats(self) -> VersionStats:
        return VersionStats(
            workers=len(self._workers),
            queued=len(self._queue),
            running=sum(len(worker.held) for worker in self._workers),
            executions=self._executions,
            kills=self.kills,
        )

    @property
    def _time_limit_ns(self) -> int:
        return ns_of(self._settings.time_limit_ms / 1e3)

    def _refusal(self, kind: type[PoolFull]) -> PoolFull:
        """Return the refusal, with the time in which what waits now will have been run."""
        waiting = len(self._queue)
        again_ms = retry_after_ms(waiting, self._pace.typical_run_ns, len(self._workers))
        return kind(queued=waiting, running=self._running, retry_after_ms=again_ms)

    def _hand_over(self) -> None:
        """Write as much as the workers may hold."""
        self._flush = None
        if self._queue:
            now_ns = time.monotonic_ns()
            self.last_used_ns = now_ns
            most = self._pace.calls_ahead
            for worker in self._pace.in_order(self._open_workers(), now_ns):
                calls = self._queue.take(most - len(worker.held), now_ns)
                if calls:
                    worker.write(calls, now_ns)
                    self._running += len(calls)
        if self._queue:
            if not self._workers and not self.staff.coming:
                self.staff.grow()
            self._watch_queue()
        elif self.is_retiring:
            self._let_go()

    def _let_go(self) -> None:
        """Release the workers, and want no more of them: nothing waits.

        A shared one goes to who waits for it, once it holds nothing.
        """
        self.staff.coming -= self._crew.forget(self)
        for worker in [*self._workers]:
            self._end_turn(worker)
            if worker in self._workers and not (self.is_shared and worker.held):
                self.staff.release(worker)
        if not self.staff.coming:
            self.refuse_loading(LoadFailed(key=self.key, reason="it was unloaded"))

    def _open_workers(self) -> list[Worker]:
        """Return those that may get calls."""
        serving = [worker for worker in self._workers if worker.stage is Stage.SERVING]
        if self._warm_up:
            serving = [worker for worker in serving if worker not in self._warm_up]
        if self._is_last_of_turn:
            serving = [worker for worker in serving if not worker.held]
        return serving

    def _watch_queue(self) -> None:
        if self._watch is None:
            self._watch = self._loop.call_later(_WATCH_QUEUE_S, self._check_queue)

    def _check_queue(self) -> None:
        """Answer who waited too long; get help when the head of the queue waits."""
        self._watch = None
        now_ns = time.monotonic_ns()
        self._queue.end_overdue(now_ns)
        if not self._queue:
            return
        waited_ns = self._queue.longest_ns(now_ns)
        if not self.staff.coming and waited_ns > self._settings.grow_after_ms * 1e6:
            self.staff.grow()
        self._watch_queue()
