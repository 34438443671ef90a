"""Callers that go away while their calls wait: no worker is taken for them."""

import urllib.request

import grpc
import pytest
from loopai.edge.v1 import edge_pb2 as wire
from loopai.edge.v1 import edge_pb2_grpc

from scripts.support.stack import until

pytestmark = pytest.mark.processes
LOOP = "def run(input_data):\n    while True:\n        pass\n"


@pytest.fixture
def edge(start_edge, make_artifact):
    """An edge with one worker, that each call keeps for three seconds."""
    artifact = make_artifact(LOOP, task="loop", input_schema={"type": "object"})
    return start_edge(artifact, execution={"worker_count": 1, "timeout_ms": 3_000})


def request(routing_key):
    return wire.ExecuteRequest(task="loop", input_json=b"{}", routing_key=routing_key)


def read(edge, gauge):
    with urllib.request.urlopen(f"http://{edge.http}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    [value] = [line.removeprefix(gauge) for line in lines if line.startswith(f"{gauge} ")]
    return float(value)


def test_a_cancelled_call_that_waits_is_taken_by_no_worker(edge):
    calls, waiting = 'edged_door_open{door="grpc",kind="rpcs"}', "edged_queued_calls"
    with grpc.insecure_channel(edge.grpc) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        first = stub.Execute.future(request("first"), timeout=20)
        until(lambda: read(edge, calls) == 1, "the worker is taken")
        gone = [
            stub.Execute.future(request("gone"), timeout=20),
            stub.ExecuteBatch.future(wire.ExecuteBatchRequest(requests=2 * [request("gone")])),
        ]
        until(lambda: read(edge, waiting) == 3, "they wait")

        for call in gone:
            call.cancel()

        until(lambda: read(edge, waiting) == 0, "they are let go")
        assert not first.done()
        assert first.result().outcome == wire.OUTCOME_TIMEOUT
    assert [line["routing_key"] for line in edge.logged("loop")] == ["first"]
