"""The HTTP door: the same executor, the same errors, the same answers as gRPC.

Runs in: the gateway. Never: answers anything the gRPC door would not.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson
import structlog

from edged import errors
from edged.datasets.records import Execution
from edged.gateway.access import Access
from edged.gateway.counters import Counters
from edged.gateway.executor import Executor, Request
from edged.gateway.health import Health
from edged.gateway.http_answer import Answer, Respond
from edged.gateway.http_reader import HttpRequest, Refused
from edged.pool.errors import PoolFull
from edged.pool.pool import Pool
from edged.rpc.limits import Counters as DoorCounters

if TYPE_CHECKING:
    from edged.gateway.exporter import Exporter

log = structlog.get_logger()

_RETRY: Final = ((b"retry-after", b"1"),)
_CHALLENGE: Final = ((b"www-authenticate", b'Bearer realm="edged"'),)
_HEADERS: Final = {401: _CHALLENGE, 503: _RETRY}
_FIELDS: Final = frozenset({"input", "task", "routing_key", "timeout_ms"})

# The first class that matches wins: special before general.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.TaskUnknown, 404),
    (errors.CallerUnknown, 401),
    (errors.CallerForbidden, 403),
    (errors.CallerError, 400),
    (errors.DeadlinePassed, 504),
    (PoolFull, 429),
    (errors.PlatformError, 503),
)


class HttpDoor:
    """POST /execute, POST /v1/execute/{task}, GET /healthz, /readyz and /metrics."""

    def __init__(
        self,
        executor: Executor,
        health: Health,
        counters: Counters,
        pool: Pool,
        access: Access | None,
        doors: Callable[[], Mapping[str, DoorCounters]],
    ) -> None:
        """access: None lets everybody in. doors: what the doors' defences did, for /metrics."""
        self._doors = doors
        self._executor = executor
        self._access = access
        self._health = health
        self._counters = counters
        self._pool = pool
        self._exporter: Exporter | None = None
        self._pages = {
            "/healthz": self._healthz,
            "/readyz": self._readyz,
            "/metrics": self._metrics,
        }

    def check(self, request: HttpRequest) -> None:
        """Raise Refused when its caller may not execute: only an execution needs a large body."""
        try:
            self._admit("execute", request)
        except errors.LoopaiError as error:
            raise Refused(_status_of(error), error.code, str(error)) from error

    def answer(self, request: HttpRequest, respond: Respond) -> None:
        """Answer one request, now or when its program has run; what breaks is answered too."""
        try:
            self._route(request, respond)
        except errors.LoopaiError as error:
            self._counters.count_refusal(error.code)
            self._reply(respond, error)
        except Exception:
            log.exception("http_answer_failed", path=request.path[:200])
            respond(self._failed())

    def refuse(self, status: int, code: str, message: str) -> Answer:
        """Return the answer to what never became a request."""
        self._counters.count_refusal(code)
        return Answer(status, _error(code, message), headers=_HEADERS.get(status, ()))

    def _route(self, request: HttpRequest, respond: Respond) -> None:
        path = request.path
        if path == "/execute" or path.startswith("/v1/execute/"):
            if request.method != b"POST":
                respond(_wrong_method(b"POST"))
                return
            self._admit("execute", request)
            task = "" if path == "/execute" else path.removeprefix("/v1/execute/")
            self._executor.execute(_request(task, request), partial(self._reply, respond))
            return
        page = self._pages.get(path)
        if page is None:
            respond(Answer(404, _error("not_found", f"there is no {path}; see POST /execute")))
        elif request.method not in {b"GET", b"HEAD"}:
            respond(_wrong_method(b"GET"))
        else:
            if path == "/metrics":
                self._admit("admin", request)
            respond(page())

    def _reply(self, respond: Respond, result: Execution | errors.LoopaiError) -> None:
        """Answer with what became of an execution. Never raises: other replies wait behind it."""
        try:
            answer = _answer_of(result)
        except Exception:
            log.exception("http_answer_failed")
            answer = self._failed()
        respond(answer)

    def _failed(self) -> Answer:
        self._counters.count_refusal("internal")
        return Answer(500, _error("internal", "internal error; the edge's log has it"))

    def _admit(self, scope: str, request: HttpRequest) -> None:
        """Raise CallerUnknown or CallerForbidden."""
        if self._access is not None:
            self._access.admit(scope, request.headers, request.peer)

    def _healthz(self) -> Answer:
        return Answer(200, orjson.dumps({"status": "alive"}))

    def _readyz(self) -> Answer:
        report = self._health.report()
        return Answer(200 if report["ready"] else 503, orjson.dumps(report))

    def _metrics(self) -> Answer:
        if self._exporter is None:
            from edged.gateway.exporter import Exporter  # 50 ms that a restart need not wait for

            self._exporter = Exporter(self._counters, self._doors, self._pool)
        return Answer(200, self._exporter.text(), content_type=b"text/plain; version=0.0.4")


def _answer_of(result: Execution | errors.LoopaiError) -> Answer:
    return Answer(200, render(result)) if isinstance(result, Execution) else refusal(result)


def _wrong_method(allowed: bytes) -> Answer:
    text = _error("method_not_allowed", f"use {allowed.decode()}")
    return Answer(405, text, headers=((b"allow", allowed),))


def render(execution: Execution) -> bytes:
    """Return the JSON answer; output stands there byte for byte as the program's."""
    answer: dict[str, object] = {
        "output": orjson.Fragment(execution.output_json),
        "latency_ms": execution.latency_ms,
        "execution_id": execution.execution_id,
        "version": execution.version,
        "status": execution.status,
        "arm": execution.arm,
    }
    if execution.confidence is not None:
        answer["confidence"] = execution.confidence
    if execution.error_type:
        answer["error"] = {"type": execution.error_type, "message": execution.error_message}
    return orjson.dumps(answer)


def refusal(error: errors.LoopaiError) -> Answer:
    """Translate an error into its answer."""
    status = _status_of(error)
    headers = _RETRY if error.retryable else ()
    if status == 401:
        headers = _CHALLENGE
    return Answer(status, _error(error.code, str(error)), headers=headers)


def _status_of(error: errors.LoopaiError) -> int:
    return next(status for family, status in STATUSES if isinstance(error, family))


def _request(task: str, request: HttpRequest) -> Request:
    """Read `{"input": …}` with its optional keys. Raises CallerError naming the field."""
    try:
        document = orjson.loads(request.body)
    except orjson.JSONDecodeError as error:
        raise errors.InputMalformed(reason=error) from error
    if not isinstance(document, dict) or "input" not in document:
        raise errors.RequestMalformed(reason='the body must be {"input": …}; "input" is missing')
    unknown = sorted(document.keys() - _FIELDS)
    if unknown:
        raise errors.RequestMalformed(reason=f"unknown field {unknown[0]!r} beside 'input'")
    timeout_ms = document.get("timeout_ms", 0)
    if type(timeout_ms) is not int or not 0 <= timeout_ms <= 2**31:
        raise errors.RequestMalformed(reason="'timeout_ms' must be a whole number of milliseconds")
    header = request.headers.get(b"loopai-routing-key", b"").decode("latin-1")
    named, key = task or document.get("task", ""), document.get("routing_key", "") or header
    if not isinstance(named, str) or not isinstance(key, str):
        raise errors.RequestMalformed(reason="'task' and 'routing_key' must be strings")
    return Request(named, _written(document["input"]), key, timeout_ms)


def _written(value: object) -> bytes:
    """Raises InputMalformed: orjson reads values that nest more deeply than it writes."""
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError as error:
        raise errors.InputMalformed(reason=error) from error


def _error(code: str, message: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message}})
