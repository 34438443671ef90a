"""The one table from error to HTTP status, and the one form of an error's body.

`{"error": {"code", "message", "retryable", …facts such as field, line, column, rows}}`.
Runs in: the server. Never: lets an internal error's text out.
"""

from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from controlplane import errors
from edged.errors import CallerError, LoopaiError
from edged.pool.errors import PoolError

log = structlog.get_logger()

# The first class that matches wins: special before general.
STATUSES: tuple[tuple[type[LoopaiError], int], ...] = (
    (errors.Unauthenticated, 401),
    (errors.ScopeMissing, 403),
    (errors.KeyUnknown, 404),
    (errors.KeyExists, 409),
    (errors.LastKey, 409),
    (errors.TaskUnknown, 404),
    (errors.GenerationUnknown, 404),
    (errors.VersionUnknown, 404),
    (errors.ImprovementUnknown, 404),
    (errors.RolloutUnknown, 404),
    (errors.TicketUnknown, 404),
    (errors.ExecutionUnknown, 404),
    (errors.QuestionUnknown, 404),
    (errors.EdgeUnknown, 404),
    (errors.TaskExists, 409),
    (errors.ExamplesMissing, 409),
    (errors.VersionRefused, 409),
    (errors.RolloutRefused, 409),
    (errors.TicketClosed, 409),
    (errors.QuestionAnswered, 409),
    (errors.RequestTooLarge, 413),
    (CallerError, 422),
    (PoolError, 503),
    (errors.HubFull, 503),
)
SHOWN_FACTS = ("field", "line", "column", "gate", "faults")


def install(app: FastAPI) -> None:
    """Give every error of every route the same form."""
    app.add_exception_handler(LoopaiError, _on_own)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(Exception, _on_unexpected)


def answer_for(error: LoopaiError) -> Response:
    """Return the answer that tells the caller of this error."""
    status = next((code for family, code in STATUSES if isinstance(error, family)), 500)
    if status == 500:
        log.error("request_failed", error=type(error).__name__, reason=str(error))
    shown = {name: error.facts[name] for name in SHOWN_FACTS if name in error.facts}
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return _answer(status, error.code, str(error), headers, retryable=error.retryable, **shown)


async def _on_own(_: Request, error: Exception) -> Response:
    assert isinstance(error, LoopaiError)  # noqa: S101 as registered
    return answer_for(error)


async def _on_validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 as registered
    first = error.errors()[0]
    place = [str(step) for step in first["loc"] if step not in ("body", "query", "path")]
    field = ".".join(place) or "the body"
    return _answer(422, "request_invalid", f"{field}: {first['msg']}", field=field)


async def _on_http(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 as registered
    if isinstance(error.__cause__, LoopaiError):  # the framework wraps what reading a body raised
        return answer_for(error.__cause__)
    code = "not_found" if error.status_code == 404 else "http_error"
    return _answer(error.status_code, code, str(error.detail))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    log.error("request_broke", path=request.url.path, exc_info=error)
    return _answer(500, "internal", "internal error; the log has it", retryable=True)


def _answer(
    status: int, code: str, message: str, headers: dict[str, str] | None = None, **facts: Any
) -> Response:
    body = {"error": {"code": code, "message": message, **facts}}
    return JSONResponse(body, status_code=status, headers=headers)
