"""Run one call's handler, of any of the four kinds, and end the call with what came of it.

Runs in: the process of the server, one task a call. Never: lets a handler's error text out.
"""

import asyncio
import inspect
from typing import Any

import structlog

from edged.rpc.call import Call, CallEnded
from edged.rpc.codes import Code, Metadata, RpcError
from edged.rpc.context import Context
from edged.rpc.methods import CallDetails, MethodHandler, Methods

log = structlog.get_logger(__name__)


async def handle(call: Call, path: str, metadata: Metadata, methods: Methods) -> None:
    """Serve a call to its end."""
    context = Context(call, metadata)
    try:
        handler = await methods.find(CallDetails(path, metadata))
        context.serve(handler)
        await _answer(handler, context)
        context.end()
    except asyncio.CancelledError:
        call.fail(Code.CANCELLED, "the server cancelled the call")
        raise
    except Exception as error:  # noqa: BLE001 whatever failed, the call gets its end
        _give_up(call, context, path, error)


def _give_up(call: Call, context: Context, path: str, error: Exception) -> None:
    """End the call as the error says, or with the status that the handler had set before it.

    A group of tasks ends by the first that failed.
    """
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, RpcError):
        call.fail(error.code, error.details, error.trailing_metadata)
    elif not isinstance(error, CallEnded):
        log.error("rpc_handler_failed", method=path, exc_info=error)
        details = f"Unexpected {type(error).__name__}"
        call.fail(context.status or Code.UNKNOWN, details, context.trailing_metadata())


async def _answer(handler: MethodHandler, context: Context) -> None:
    run = (
        handler.stream_stream or handler.stream_unary or handler.unary_stream or handler.unary_unary
    )
    if run is None:
        raise RpcError(Code.UNIMPLEMENTED, "the method has no handler")
    request = context.requests() if handler.request_streaming else await context.only_request()
    result = run(request, context)
    if handler.response_streaming:
        await _write_all(result, context)
        return
    response = await result if inspect.isawaitable(result) else result
    if context.status == Code.OK:
        await context.write(response)


async def _write_all(responses: Any, context: Context) -> None:
    """Send what a generator yields; a coroutine has sent its responses by itself."""
    if inspect.isasyncgen(responses) or hasattr(responses, "__aiter__"):
        async for response in responses:
            await context.write(response)
    elif inspect.isawaitable(responses):
        await responses
    else:
        for response in responses:
            await context.write(response)
