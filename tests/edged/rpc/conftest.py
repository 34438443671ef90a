"""One suite, two servers: ours on both loops, and grpc.aio, which is the reference."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
import uvloop

from edged.rpc import server as ours
from edged.rpc.tls import Tls
from tests.edged.rpc.callers import CALLERS
from tests.edged.rpc.raw import RawClient

SERVERS = {"ours": ours, "grpcio": grpc.aio.server}
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
SERVICE = "loopai.test.Conformance"


def pytest_asyncio_loop_factories(config, item):
    return {"uvloop": uvloop.new_event_loop, "asyncio": asyncio.new_event_loop}


def pytest_collection_modifyitems(config, items):
    """The reference needs no second loop."""
    kept, dropped = [], []
    for item in items:
        words = getattr(item, "callspec", None) and item.callspec.id.split("-")
        (dropped if words and {"grpcio", "asyncio"} <= set(words) else kept).append(item)
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


@dataclass(frozen=True, slots=True)
class Served:
    """A running server. port: of 127.0.0.1; 0 on a Unix socket."""

    server: Any
    target: str
    port: int = 0


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate on disk."""

    certificate: Path
    key: Path


def handlers_of(methods: dict[str, Callable[..., Any]]) -> Any:
    """Make one service of them. methods: by kind, which is also each method's name."""
    made = {
        kind: getattr(grpc, f"{kind}_rpc_method_handler")(function)
        for kind, function in methods.items()
    }
    return grpc.method_handlers_generic_handler(SERVICE, made)


@pytest.fixture(params=SERVERS)
def kind(request) -> str:
    """Which server."""
    return request.param


@pytest.fixture
async def make(kind):
    """Return a function that makes a server of that kind; it is stopped at the end."""
    made = []

    def make(**settings: Any) -> Any:
        server = SERVERS[kind](**settings)
        made.append(server)
        return server

    yield make
    for server in made:
        await server.stop(0)


@pytest.fixture
async def serve(make) -> Callable[..., Awaitable[Served]]:
    """Return a function that serves one method a kind and gives its address."""

    async def serve(address: str = "127.0.0.1:0", *, services=(), **given: Any) -> Served:
        methods = {kind: given.pop(kind) for kind in KINDS if kind in given}
        server = make(**given)
        server.add_generic_rpc_handlers((handlers_of(methods),))
        for add in services:
            add(server)
        port = server.add_insecure_port(address)
        await server.start()
        target = address if address.startswith("unix:") else f"127.0.0.1:{port}"
        return Served(server, target, 0 if target == address else port)

    return serve


@pytest.fixture
async def serve_ours():
    """The same, for what only our server has; settings are those of `server`."""
    running = []

    async def serve_ours(**given: Any) -> Served:
        methods = {kind: given.pop(kind) for kind in KINDS if kind in given}
        tls = given.pop("tls", None)
        server = ours(**given)
        running.append(server)
        server.add_generic_rpc_handlers((handlers_of(methods),))
        port = (
            server.add_secure_port("127.0.0.1:0", tls)
            if tls
            else server.add_insecure_port("127.0.0.1:0")
        )
        await server.start()
        return Served(server, f"127.0.0.1:{port}", port)

    yield serve_ours
    for server in running:
        await server.stop(0)


@pytest.fixture
async def connect():
    """Return a function that opens a client; it is closed at the end."""
    opened = []

    def connect(target: str, credentials: Any = None, *, client: str = "aio", **how: Any) -> Any:
        caller = CALLERS[client](target, credentials, **how)
        opened.append(caller)
        return caller

    yield connect
    for caller in opened:
        await caller.close()


@pytest.fixture
async def open_raw():
    """Return a function that opens a client on bare frames; it is closed at the end."""
    opened = []

    async def open_raw(target: str, *words: Any, **how: Any) -> RawClient:
        opened.append(await RawClient.open(target, *words, **how))
        return opened[-1]

    yield open_raw
    for client in opened:
        await client.close()


@pytest.fixture(params=CALLERS)
def client(request) -> str:
    """Which client."""
    return request.param


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def issue(authority, tmp_path):
    """Return a function that writes a fresh certificate of the authority for a name."""

    def issue(name: str = "localhost", folder: Path = tmp_path) -> Identity:
        issued = authority.issue_cert(name)
        identity = Identity(folder / f"{name}.pem", folder / f"{name}.key")
        issued.private_key_pem.write_to_path(str(identity.key))
        identity.certificate.write_bytes(b"".join(b.bytes() for b in issued.cert_chain_pems))
        return identity

    return issue


@pytest.fixture
def ca_path(authority, tmp_path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def make_tls(issue) -> Callable[..., Tls]:
    """Return a function that makes TLS settings with a fresh certificate."""

    def make_tls(**more: Any) -> Tls:
        identity = issue()
        settings = {"client_ca": None, "require_client_certificate": False, **more}
        return Tls(certificate=identity.certificate, key=identity.key, **settings)

    return make_tls


async def until(condition: Callable[[], Any]) -> None:
    """Let the loop turn until something holds; the test's own timeout bounds it."""
    while not condition():  # noqa: ASYNC110
        await asyncio.sleep(0.01)
