"""The HTTP door: a plain ASGI app on the same executor.

Runs in: the gateway, under uvicorn. Never: answers anything the gRPC door would not.
"""

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from edged import errors
from edged.datasets.records import Execution
from edged.gateway.counters import Counters
from edged.gateway.executor import Executor, Request
from edged.gateway.health import Health
from edged.pool.errors import PoolFull
from edged.pool.pool import Pool

if TYPE_CHECKING:
    from edged.gateway.exporter import Exporter

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAX_BODY_BYTES = 4 * 1024 * 1024  # gRPC's own default for a message
JSON = b"application/json"

# The first class that matches wins: special before general.
STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (errors.TaskUnknown, 404),
    (errors.CallerError, 400),
    (errors.DeadlinePassed, 504),
    (PoolFull, 429),
    (errors.PlatformError, 503),
)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()


class BodyTooLarge(errors.CallerError):
    code = "body_too_large"
    text = "the body is larger than {limit} bytes"


class HttpDoor:
    """POST /execute, POST /v1/execute/{task}, GET /healthz, /readyz and /metrics."""

    def __init__(self, executor: Executor, health: Health, counters: Counters, pool: Pool) -> None:
        self._executor = executor
        self._health = health
        self._counters = counters
        self._pool = pool
        self._exporter: Exporter | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        try:
            answer = await self._route(scope, receive)
        except errors.LoopaiError as error:
            self._counters.count_refusal(error.code)
            answer = refusal(error)
        length = str(len(answer.body)).encode()
        headers = [(b"content-type", answer.content_type), (b"content-length", length)]
        headers += answer.headers
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def _route(self, scope: Scope, receive: Receive) -> Answer:
        method, path = scope["method"], scope["path"]
        if path == "/execute" or path.startswith("/v1/execute/"):
            if method != "POST":
                return Answer(
                    405, _error("method_not_allowed", "use POST"), headers=((b"allow", b"POST"),)
                )
            return await self._execute(path.removeprefix("/v1/execute/"), scope, receive)
        pages = {"/healthz": self._healthz, "/readyz": self._readyz, "/metrics": self._metrics}
        page = pages.get(path)
        if page is None:
            return Answer(404, _error("not_found", f"there is no {path}; see POST /execute"))
        if method not in {"GET", "HEAD"}:
            return Answer(
                405, _error("method_not_allowed", "use GET"), headers=((b"allow", b"GET"),)
            )
        return page()

    async def _execute(self, task: str, scope: Scope, receive: Receive) -> Answer:
        body = await _read_body(receive)
        request = _request("" if task == "/execute" else task, body, scope)
        done: asyncio.Future[Execution | errors.LoopaiError]
        done = asyncio.get_running_loop().create_future()

        def reply(result: Execution | errors.LoopaiError) -> None:
            if not done.cancelled():
                done.set_result(result)

        self._executor.execute(request, reply)
        result = await done
        if isinstance(result, errors.LoopaiError):
            raise result
        return Answer(200, render(result))

    def _healthz(self) -> Answer:
        return Answer(200, orjson.dumps({"status": "alive"}))

    def _readyz(self) -> Answer:
        report = self._health.report()
        return Answer(200 if report["ready"] else 503, orjson.dumps(report))

    def _metrics(self) -> Answer:
        if self._exporter is None:
            from edged.gateway.exporter import Exporter  # 50 ms that a restart need not wait for

            self._exporter = Exporter(self._counters, self._pool)
        return Answer(200, self._exporter.text(), content_type=b"text/plain; version=0.0.4")


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
    status = next(status for family, status in STATUSES if isinstance(error, family))
    if isinstance(error, BodyTooLarge):
        status = 413
    headers = ((b"retry-after", b"1"),) if error.retryable else ()
    return Answer(status, _error(error.code, str(error)), headers=headers)


def _request(task: str, body: bytes, scope: Scope) -> Request:
    """Read `{"input": …}` with its optional keys. Raises CallerError naming the field."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise errors.InputMalformed(reason=error) from error
    if not isinstance(document, dict) or "input" not in document:
        raise errors.RequestMalformed(reason='the body must be {"input": …}; "input" is missing')
    unknown = sorted(set(document) - {"input", "task", "routing_key", "timeout_ms"})
    if unknown:
        raise errors.RequestMalformed(reason=f"unknown field {unknown[0]!r} beside 'input'")
    timeout_ms = document.get("timeout_ms", 0)
    if type(timeout_ms) is not int or not 0 <= timeout_ms <= 2**31:
        raise errors.RequestMalformed(reason="'timeout_ms' must be a whole number of milliseconds")
    named = task or document.get("task", "")
    key = document.get("routing_key", "") or _header(scope, b"loopai-routing-key")
    if not isinstance(named, str) or not isinstance(key, str):
        raise errors.RequestMalformed(reason="'task' and 'routing_key' must be strings")
    return Request(
        task=named,
        input_json=orjson.dumps(document["input"]),
        routing_key=key,
        timeout_ms=timeout_ms,
    )


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        size += len(part)
        if size > MAX_BODY_BYTES:
            raise BodyTooLarge(limit=MAX_BODY_BYTES)
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def _error(code: str, message: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message}})
