"""A caller that was revoked, or lost its scope, loses the streams that it holds open."""

import json
import queue
from hashlib import sha256

import grpc
import pytest
from loopai.answers import write_request
from loopai.edge.v1 import edge_pb2 as wire
from loopai.edge.v1 import edge_pb2_grpc

from scripts.support.artifacts import write_artifact
from scripts.support.stack import EdgeProcess, until

pytestmark = pytest.mark.processes
ECHO = "def run(input_data):\n    return input_data\n"


class Callers:
    """The callers file of an edge: names, which are their keys too, and scopes."""

    def __init__(self, path):
        self.path = path
        self.write(kept=["execute"], lost=["execute"])

    def write(self, **scopes):
        entries = [
            {"name": name, "key_sha256": sha256(name.encode()).hexdigest(), "scopes": allowed}
            for name, allowed in scopes.items()
        ]
        self.put(json.dumps({"callers": entries}))

    def put(self, text):
        part = self.path.with_suffix(".part")
        part.write_text(text)
        part.rename(self.path)


@pytest.fixture(scope="module", params=["ngh2", "grpcio"])
def edge(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    write_artifact(folder / "artifacts", "echo", ECHO, {}, {})
    callers = Callers(folder / "callers.yaml")
    settings = {
        "runtime": {"rpc_server": request.param},
        "artifacts": {"folder": str(folder / "artifacts")},
        "access": {"callers_file": str(callers.path)},
    }
    with EdgeProcess(folder, settings) as process:
        until((process.data_dir / "artifacts" / "echo" / "active").exists, "the edge serves")
        process.callers = callers
        yield process


@pytest.fixture
def open_stream(edge):
    """Return a function that opens a stream as soon as its caller may; each ends with the test."""
    opened = []
    with grpc.insecure_channel(edge.grpc) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)

        def is_opened(key):
            stream = Stream(stub, key)
            opened.append(stream)
            try:
                return stream.ask() == wire.OUTCOME_SUCCESS
            except grpc.RpcError:
                return False

        def open_stream(key):
            until(lambda: is_opened(key), f"{key} may call")
            return opened[-1]

        yield open_stream
        for stream in opened:
            stream.asked.put(None)


class Stream:
    def __init__(self, stub, key):
        self.asked = queue.SimpleQueue()
        metadata = (("authorization", f"Bearer {key}"),)
        self.answers = stub.ExecuteStream(iter(self.asked.get, None), metadata=metadata, timeout=20)

    def ask(self):
        """Return the outcome of one more execution."""
        request = write_request({"a": 1}, "echo", "", 0)
        self.asked.put(wire.ExecuteStreamRequest(tag=1, request=request))
        return next(self.answers).result.response.outcome


@pytest.mark.parametrize(
    ("scopes", "code"), [({}, "UNAUTHENTICATED"), ({"lost": ["report"]}, "PERMISSION_DENIED")]
)
def test_a_stream_ends_with_the_right_to_call_and_the_others_go_on(edge, open_stream, scopes, code):
    edge.callers.write(kept=["execute"], lost=["execute"])
    kept, lost = open_stream("kept"), open_stream("lost")

    edge.callers.write(kept=["execute"], **scopes)

    with pytest.raises(grpc.RpcError) as ended:
        next(lost.answers)
    assert ended.value.code().name == code
    assert kept.ask() == wire.OUTCOME_SUCCESS


def test_an_empty_file_ends_nothing(edge, open_stream):
    edge.callers.write(kept=["execute"])
    stream = open_stream("kept")
    before = len(edge.events("callers_refused"))

    edge.callers.put("")

    until(lambda: len(edge.events("callers_refused")) > before, "the file is refused")
    assert stream.ask() == wire.OUTCOME_SUCCESS
