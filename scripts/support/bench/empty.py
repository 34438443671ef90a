"""A server whose handlers do nothing, ours or grpc.aio, plain and with TLS, to be compared.

Runs in: its own process, started by `started`. Prints its addresses, serves until its input closes.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import uvloop

from edged.rpc import server as our_server
from edged.rpc.stream import RawCall
from edged.rpc.tls import Tls

SERVICE = "loopai.bench.Empty"
NORMAL = f"/{SERVICE}/Normal"
RAW = f"/{SERVICE}/Raw"  # ours only


@contextmanager
def started(kind: str, certificates: Path | None = None) -> Iterator[dict[str, str]]:
    """Run one and yield its addresses: plain, and tls where certificates are given.

    kind: ours or grpcio. certificates: a folder with server.pem and server.key.
    """
    words = [kind, *([str(certificates)] if certificates else [])]
    command = [sys.executable, "-m", "scripts.support.bench.empty", *words]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None  # noqa: S101 both are pipes
    assert process.stdin is not None  # noqa: S101
    try:
        yield json.loads(process.stdout.readline())
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def _answer(request: bytes, _context: object) -> bytes:
    return request


def _answer_raw(request: bytes, call: RawCall) -> None:
    call.reply(request)


def _server(kind: str) -> Any:
    if kind == "grpcio":
        return grpc.aio.server()
    server = our_server()
    server.add_raw_method(RAW, _answer_raw)
    return server


def _credentials(kind: str, folder: Path) -> Any:
    certificate, key = folder / "server.pem", folder / "server.key"
    if kind == "ours":
        return Tls(certificate=certificate, key=key)
    return grpc.ssl_server_credentials([(key.read_bytes(), certificate.read_bytes())])


async def _serve(kind: str, folder: Path | None) -> None:
    server = _server(kind)
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(_answer)
    handlers = grpc.method_handlers_generic_handler(SERVICE, {"Normal": handler})
    server.add_generic_rpc_handlers((handlers,))
    ports = {"plain": server.add_insecure_port("127.0.0.1:0")}
    if folder is not None:
        ports["tls"] = server.add_secure_port("127.0.0.1:0", _credentials(kind, folder))
    await server.start()
    print(json.dumps({name: f"127.0.0.1:{port}" for name, port in ports.items()}), flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1], Path(sys.argv[2]) if len(sys.argv) > 2 else None))
