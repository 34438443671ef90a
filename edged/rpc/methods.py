"""Which handler answers which path: raw, registered, or found by a generic handler.

Runs in: the process of the server. Never: touches a connection.
"""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edged.rpc.codes import Code, Metadata, RpcError
from edged.rpc.stream import RawHandler


class MethodHandler(Protocol):
    """What grpcio's `RpcMethodHandler` is."""

    request_streaming: bool
    response_streaming: bool
    request_deserializer: Callable[[bytes], Any] | None
    response_serializer: Callable[[Any], bytes] | None
    unary_unary: Callable[..., Any] | None
    unary_stream: Callable[..., Any] | None
    stream_unary: Callable[..., Any] | None
    stream_stream: Callable[..., Any] | None


@dataclass(frozen=True, slots=True)
class CallDetails:
    """What interceptors and generic handlers decide by."""

    method: str
    invocation_metadata: Metadata


class GenericHandler(Protocol):
    """Knows the handlers of one or more services."""

    def service(self, handler_call_details: Any) -> Any: ...


class Interceptor(Protocol):
    """May look at a call and answer with another handler."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any: ...


@dataclass(slots=True)
class Methods:
    """Everything that can be called."""

    interceptors: Sequence[Interceptor] = ()
    raw: dict[bytes, RawHandler] = field(default_factory=dict)
    _registered: dict[str, MethodHandler] = field(default_factory=dict)
    _generic: list[GenericHandler] = field(default_factory=list)

    def add_generic(self, handlers: Iterable[GenericHandler]) -> None:
        self._generic.extend(handlers)

    def add_registered(self, service: str, handlers: Mapping[str, MethodHandler]) -> None:
        for name, handler in handlers.items():
            self._registered[f"/{service}/{name}"] = handler

    async def find(self, details: CallDetails) -> MethodHandler:
        """Return the handler through all interceptors, the first one outermost.

        Raises RpcError when there is none.
        """
        handler = await self._find_from(0, details)
        if handler is None:
            raise RpcError(Code.UNIMPLEMENTED, f"there is no method {details.method} here")
        return handler

    async def _find_from(self, position: int, details: CallDetails) -> MethodHandler | None:
        if position == len(self.interceptors):
            return self._look_up(details)

        async def onward(changed: CallDetails) -> MethodHandler | None:
            return await self._find_from(position + 1, changed)

        found: MethodHandler | None = await self.interceptors[position].intercept_service(
            onward, details
        )
        return found

    def _look_up(self, details: CallDetails) -> MethodHandler | None:
        handler = self._registered.get(details.method)
        if handler is not None:
            return handler
        for generic in self._generic:
            found: MethodHandler | None = generic.service(details)
            if found is not None:
                return found
        return None
