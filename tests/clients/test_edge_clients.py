"""Both clients against a real edge with TLS and keys, and the command that uses one."""

import asyncio
import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import grpc
import pytest
import trustme
from loopai import AsyncEdgeClient, EdgeClient, Tls
from loopai.answers import Health
from loopai.cli.commands import app
from typer.testing import CliRunner

from scripts.support.artifacts import write_artifact
from scripts.support.stack import EdgeProcess, until

ECHO = "def run(input_data):\n    return input_data\n"
KEY = "edge_key_of_an_app"
VALUES = [{"n": n} for n in range(20)]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    (folder / "key").write_text(KEY + "\n")
    return folder


@pytest.fixture(scope="module")
def edge(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("edge")
    write_artifact(folder / "artifacts", "echo", ECHO, {}, {})
    callers = folder / "callers.yaml"
    hashed = sha256(KEY.encode()).hexdigest()
    caller = {"name": "app", "key_sha256": hashed, "scopes": ["execute", "report"]}
    callers.write_text(json.dumps({"callers": [caller]}))
    pem = str(files / "server.pem")
    settings = {
        "artifacts": {"folder": str(folder / "artifacts")},
        "listen": {"tls": {"certificate": pem, "key": pem}},
        "access": {"callers_file": str(callers)},
    }
    with (
        EdgeProcess(folder, settings) as process,
        EdgeClient(process.grpc, api_key=KEY, tls=Tls(ca=files / "ca.pem")) as client,
    ):
        until(lambda: bool(client.list_tasks()), "the edge serves")
        yield process


@pytest.fixture
def client(edge, files):
    with EdgeClient(edge.grpc, api_key=KEY, tls=Tls(ca=files / "ca.pem")) as made:
        yield made


@pytest.fixture
async def async_client(edge, files):
    async with AsyncEdgeClient(edge.grpc, api_key=KEY, tls=Tls(ca=files / "ca.pem")) as made:
        yield made


@pytest.mark.processes
def test_blocking_client_makes_every_call(client):
    answer = client.execute({"n": 1})
    client.report_outcome(answer.execution_id, {"n": 1}, task="echo")

    assert answer.output == {"n": 1}
    assert [each.output for each in client.execute_batch(VALUES)] == VALUES
    assert {tag: each.output for tag, each in client.stream(VALUES)} == dict(enumerate(VALUES))
    assert [task.name for task in client.list_tasks()] == ["echo"]
    assert (client.health(), client.health("echo")) == (Health.SERVING, Health.SERVING)


@pytest.mark.processes
async def test_asyncio_client_makes_every_call(async_client):
    answer = await async_client.execute({"n": 1})
    await async_client.report_outcome(answer.execution_id, {"n": 1}, task="echo")
    streamed = {tag: each.output async for tag, each in async_client.stream(VALUES)}

    assert answer.output == {"n": 1}
    assert [each.output for each in await async_client.execute_batch(VALUES)] == VALUES
    assert streamed == dict(enumerate(VALUES))
    assert [task.name for task in await async_client.list_tasks()] == ["echo"]
    assert await async_client.health("echo") is Health.SERVING


@pytest.mark.processes
async def test_asyncio_client_streams_what_comes_later(async_client):
    answered = asyncio.Event()

    async def ask():
        yield {"n": 0}
        await asyncio.wait_for(answered.wait(), 10)
        yield {"n": 1}

    outputs = []
    async for _, result in async_client.stream(ask(), task="echo"):
        outputs.append(result.output)
        answered.set()

    assert outputs == [{"n": 0}, {"n": 1}]


@pytest.mark.processes
def test_stream_may_be_left_early(client):
    for tag, _ in client.stream(({"n": n} for n in range(1_000_000)), task="echo"):
        if tag == 3:
            break

    assert client.execute({"n": 2}).output == {"n": 2}


@pytest.mark.processes
def test_client_without_key_is_told_so_and_still_sees_health(edge, files):
    with EdgeClient(edge.grpc, tls=Tls(ca=files / "ca.pem")) as client:
        with pytest.raises(grpc.RpcError, match="no API key") as refused:
            client.execute({})

        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED
        assert client.health() is Health.SERVING


@pytest.mark.processes
def test_client_that_does_not_know_the_authority_is_not_fooled(edge):
    with (
        EdgeClient(edge.grpc, api_key=KEY, tls=Tls(), timeout_s=2) as client,
        pytest.raises(grpc.RpcError),
    ):
        client.execute({})


@pytest.mark.processes
def test_command_executes_by_tls_and_key_file(edge, files):
    told = ["--edge", edge.grpc, "--ca", str(files / "ca.pem")]

    answered = CliRunner().invoke(
        app, ["execute", '{"n": 1}', *told, "--api-key-file", str(files / "key")]
    )
    refused = CliRunner().invoke(app, ["execute", '{"n": 1}', *told])

    assert (answered.exit_code, json.loads(answered.stdout)) == (0, {"n": 1})
    assert (refused.exit_code, "UNAUTHENTICATED" in refused.stderr) == (1, True)


@pytest.mark.parametrize("make", [EdgeClient, AsyncEdgeClient])
def test_key_does_not_go_to_another_machine_in_clear(make):
    with pytest.raises(ValueError, match="in clear"):
        make("192.0.2.1:50051", api_key=KEY)


def test_client_certificate_key_alone_is_refused(tmp_path):
    with pytest.raises(ValueError, match="certificate"):
        Tls(key=tmp_path / "key.pem")


def test_package_offers_its_clients_and_loads_grpc_only_for_them():
    program = (
        "import sys, loopai; assert 'grpc' not in sys.modules;"
        "from loopai.edge.v1 import edge_pb2; assert 'grpc' not in sys.modules;"
        "from loopai import EdgeClient, AsyncEdgeClient; assert 'grpc' in sys.modules;"
        "assert all(hasattr(loopai, name) for name in loopai.__all__)"
    )

    subprocess.run([sys.executable, "-c", program], check=True)


class Unavailable(grpc.GenericRpcHandler):
    """An edge that is never there; counts what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def service(self, handler_call_details):
        def refuse(_request, context):
            self.asked.append(handler_call_details.method.rpartition("/")[2])
            context.abort(grpc.StatusCode.UNAVAILABLE, "away")

        return grpc.unary_unary_rpc_method_handler(refuse)


def test_only_calls_that_change_nothing_are_tried_again():
    away = Unavailable()
    server = grpc.server(ThreadPoolExecutor(1), handlers=(away,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with EdgeClient(f"127.0.0.1:{port}") as client:
            for call in (client.list_tasks, client.health, lambda: client.execute({})):
                with pytest.raises(grpc.RpcError):
                    call()
    finally:
        server.stop(None)

    assert {method: away.asked.count(method) for method in away.asked} == {
        "ListTasks": 4,
        "Check": 4,
        "Execute": 1,
    }
