"""The peer of the benchmark: a grpc.aio server whose handler does nothing.

Runs in: its own process, started by bench. Prints its address, serves until its input closes.
"""

import asyncio
import sys

import grpc
import uvloop

METHOD = "/loopai.bench.Peer/Empty"


async def _answer(request: bytes, _context: object) -> bytes:
    return request


async def _serve() -> None:
    server = grpc.aio.server()
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_answer)
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler("loopai.bench.Peer", {"Empty": handler}),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"127.0.0.1:{port}", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve())
