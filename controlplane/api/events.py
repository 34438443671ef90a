"""The websocket door: `GET /api/v1/events?task=…&kind=…`, both repeatable, neither means all.

Messages are JSON objects: `event`, `task`, `at`, and what the event says; `dropped` where older
ones were left out because this client was slow. The server pings. The key travels in the header
`Authorization`, never in the address, which logs keep. Before the websocket opens, refusals are
the usual HTTP answers (401, 404, 422, 503); after it, close codes tell why:
1001 the server stops, 1003 the client sent something, 1008 the client does not read, 3000 its key
was revoked.
Runs in: the server. Talks to: the hub. Never: takes a message from a client.
"""

import asyncio
from typing import Annotated, Any, cast

import orjson
from fastapi import APIRouter, Query, WebSocket
from starlette.websockets import WebSocketDisconnect

from controlplane.access.scopes import Caller
from controlplane.api.failures import answer_for
from controlplane.api.parts import ApiParts
from controlplane.errors import RequestInvalid
from controlplane.hub.subscriber import Subscriber, Wish
from controlplane.storage.events import KINDS
from edged.errors import LoopaiError

router = APIRouter(tags=["events"])

SEND_TIMEOUT_S = 20.0  # of one message to a client that does not read
CLOSE_TIMEOUT_S = 2.0
STOPPING, UNSUPPORTED, TOO_SLOW, REVOKED, GONE = 1001, 1003, 1008, 3000, None
REASONS = {
    STOPPING: "the server is stopping; connect again",
    UNSUPPORTED: "this door takes no messages",
    TOO_SLOW: "too slow: nothing was read for a while",
    REVOKED: "the API key was revoked",
}

Names = Annotated[list[str] | None, Query()]


@router.websocket("/events")
async def follow(socket: WebSocket, task: Names = None, kind: Names = None) -> None:
    """Send events until one side leaves."""
    parts = cast("ApiParts", socket.app.state.parts)
    try:
        wish = await _wish(parts, socket.state.caller, task or [], kind or [])
        with parts.hub.subscribed(wish) as subscriber:
            # Subscribed before accepted: what happens once the client is connected reaches it.
            await socket.accept()
            await _close(socket, await _serve(socket, subscriber))
    except LoopaiError as refusal:
        await socket.send_denial_response(answer_for(refusal))
    except WebSocketDisconnect:
        return  # it left before or while it was answered


async def _wish(parts: ApiParts, caller: Caller, tasks: list[str], kinds: list[str]) -> Wish:
    """Raises TaskUnknown, RequestInvalid."""
    unknown = sorted(set(kinds) - set(KINDS))
    if unknown:
        reason = f"there is no '{unknown[0]}'; there are {', '.join(KINDS)}"
        raise RequestInvalid(field="kind", reason=reason)
    found = [await parts.tasks.find(caller.organisation_id, each) for each in tasks]
    return Wish(
        organisation_id=caller.organisation_id,
        key_id=caller.key_id,
        tasks=frozenset(each.name for each in found),
        kinds=frozenset(kind for kind in KINDS if kind in kinds),
    )


async def _serve(socket: WebSocket, subscriber: Subscriber) -> int | None:
    """Return the code to close with."""
    async with asyncio.TaskGroup() as tasks:
        both = [
            tasks.create_task(_send(socket, subscriber), name="events_sending"),
            tasks.create_task(_listen(socket), name="events_listening"),
        ]
        done, waiting = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
    return done.pop().result()


async def _send(socket: WebSocket, subscriber: Subscriber) -> int | None:
    try:
        async for message in subscriber:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await socket.send_text(_text(message))
    except TimeoutError:
        return TOO_SLOW
    except WebSocketDisconnect:
        return GONE
    return REVOKED if subscriber.is_revoked else STOPPING


async def _listen(socket: WebSocket) -> int | None:
    message = await socket.receive()
    return GONE if message["type"] == "websocket.disconnect" else UNSUPPORTED


async def _close(socket: WebSocket, code: int | None) -> None:
    if code is None:
        return
    try:
        # A client that does not read does not take the farewell either.
        async with asyncio.timeout(CLOSE_TIMEOUT_S):
            await socket.close(code, REASONS[code])
    except (TimeoutError, WebSocketDisconnect):
        return


def _text(message: Any) -> str:
    return orjson.dumps(message).decode()
