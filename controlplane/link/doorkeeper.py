"""Turn strangers away from what the link's server offers besides the link: reflection.

Enroll and Connect ask for the key themselves; health is open: it tells nothing but up or down.
Runs in: the server, as an interceptor. Never: looks at a message.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from controlplane.access.access import Access
from controlplane.errors import ScopeMissing, Unauthenticated
from edged.rpc.codes import Code, RpcError
from edged.rpc.grpcio import refusal

GUARDED: Final = "/grpc.reflection."


class Doorkeeper:
    """Works on both RPC servers."""

    def __init__(self, access: Access) -> None:
        self._access = access

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Any]], handler_call_details: Any
    ) -> Any:
        handler = await continuation(handler_call_details)
        if not handler_call_details.method.startswith(GUARDED):
            return handler
        try:
            await self._admit(dict(handler_call_details.invocation_metadata or ()))
        except RpcError as error:
            return refusal(error, handler)
        return handler

    async def _admit(self, metadata: dict[str, Any]) -> None:
        try:
            caller = await self._access.identify(metadata.get("authorization"))
            caller.check("read")
        except Unauthenticated as error:
            raise RpcError(Code.UNAUTHENTICATED, str(error)) from error
        except ScopeMissing as error:
            raise RpcError(Code.PERMISSION_DENIED, str(error)) from error
