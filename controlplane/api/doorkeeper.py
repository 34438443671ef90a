"""Turn strangers away before a byte of their body is read.

The framework reads and parses a JSON body before it asks who sent it, so this stands in front of
it. Runs in: the server, before every route below `/api/`. Never: looks into a body.
"""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from controlplane.access import scopes
from controlplane.access.access import Access
from controlplane.api.failures import answer_for
from controlplane.errors import RequestTooLarge
from edged.errors import LoopaiError

GUARDED = "/api/"
GUARDED_TYPES = ("http", "websocket")
KEYS = "/api/v1/keys"
READING = ("GET", "HEAD", "OPTIONS")
MAX_BODY_BYTES = 128 * 1024 * 1024  # the largest upload; routes allow less


class Doorkeeper:
    """Passes on requests of known callers, with the caller in the request's state."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in GUARDED_TYPES and scope["path"].startswith(GUARDED):
            try:
                await self._admit(scope)
            except LoopaiError as refusal:
                await answer_for(refusal)(scope, receive, send)
                return
        await self._app(scope, _bounded(receive), send)

    async def _admit(self, scope: Scope) -> None:
        """Raises Unauthenticated, ScopeMissing, RequestTooLarge."""
        headers = Headers(scope=scope)
        caller = await self._access.identify(headers.get("authorization"))
        caller.check(needed_scope(scope.get("method", "GET"), scope["path"]))
        declared = headers.get("content-length", "0")
        if declared.isdigit() and int(declared) > MAX_BODY_BYTES:
            raise RequestTooLarge(limit_bytes=MAX_BODY_BYTES)
        scope.setdefault("state", {})["caller"] = caller


def needed_scope(method: str, path: str) -> scopes.Scope:
    """Return what a request needs; a websocket only looks, like a GET."""
    return "read" if method in READING and not path.startswith(KEYS) else "admin"


def _bounded(receive: Receive) -> Receive:
    """Raise RequestTooLarge once more has come than may: a body in chunks declares no length."""
    received_bytes = 0

    async def bounded() -> Message:
        nonlocal received_bytes
        message = await receive()
        received_bytes += len(message.get("body", b""))
        if received_bytes > MAX_BODY_BYTES:
            raise RequestTooLarge(limit_bytes=MAX_BODY_BYTES)
        return message

    return bounded
