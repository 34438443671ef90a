"""Both doors of a real edge: answers, outcomes, refusals, health."""

import json
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from loopai.answers import Refusal
from loopai.client import EdgeClient
from loopai.edge.v1 import edge_pb2 as wire
from loopai.edge.v1 import edge_pb2_grpc

from edged.artifacts.archive import pack
from edged.pool.barriers import MINIMUM
from scripts.support.stack import EdgeProcess, until

LOOP = "def run(input_data):\n    while True:\n        pass\n"
HOG = (
    'def run(input_data):\n    rows = []\n    while True:\n        rows.append("x" * 20_000_000)\n'
)
RAISE = 'def run(input_data):\n    return 1 / input_data["by"]\n'
CONFIDENT = 'def run(input_data):\n    return {"output": "ä", "confidence": 0.25}\n'
ANYTHING = {"type": "object"}


@pytest.fixture(scope="module")
def edge(tmp_path_factory, make_artifact):
    folder: Path = tmp_path_factory.mktemp("doors")
    artifacts = folder / "artifacts"
    artifacts.mkdir()
    programs = {
        "shout": make_artifact(),
        "loop": make_artifact(LOOP, task="loop", input_schema=ANYTHING),
        "hog": make_artifact(HOG, task="hog", input_schema=ANYTHING),
        "divide": make_artifact(
            RAISE, task="divide", input_schema=ANYTHING, output_schema={"maximum": 5}
        ),
        "confident": make_artifact(
            CONFIDENT, task="confident", returns_confidence=True, input_schema=ANYTHING
        ),
    }
    for name, artifact in programs.items():
        (artifacts / f"{name}.zip").write_bytes(pack(artifact))
    settings = {
        "artifacts": {"folder": str(artifacts)},
        "execution": {"timeout_ms": 400, "memory_mb": 32},
    }
    with EdgeProcess(folder, settings) as edge:
        with EdgeClient(edge.grpc) as client:
            until(lambda: len(client.list_tasks()) == len(programs), "all tasks serve")
        yield edge


@pytest.fixture
def client(edge):
    with EdgeClient(edge.grpc) as client:
        yield client


@pytest.fixture
def post(edge):
    """Return a function that posts a body and gives status and document."""

    def post(path: str, body: object, **headers: str) -> tuple[int, dict]:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(f"http://{edge.http}{path}", data, headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, json.load(response)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    return post


def get(edge: EdgeProcess, path: str) -> tuple[int, bytes]:
    with urllib.request.urlopen(f"http://{edge.http}{path}", timeout=10) as response:
        return response.status, response.read()


def lines(edge: EdgeProcess, task: str, execution_id: str) -> list[dict]:
    return [line for line in edge.logged(task) if line["execution_id"] == execution_id]


def test_an_answer_is_in_the_log_once(edge, client):
    answer = client.execute({"text": "grüße"}, task="shout", routing_key="user-1")

    [line] = lines(edge, "shout", answer.execution_id)
    assert answer.output_json == '"GRÜSSE"'.encode()
    assert (answer.outcome, answer.version, answer.arm) == ("SUCCESS", 1, "stable")
    assert list(line)[:5] == ["execution_id", "input", "output", "latency_ms", "timestamp"]
    assert line["input"] == {"text": "grüße"}
    assert line["routing_key"] == "user-1"
    assert line["latency_ms"] == answer.latency_ms > 0


def test_both_doors_answer_alike(client, post):
    rpc = client.execute({"text": "a"}, task="shout")

    status, http = post("/v1/execute/shout", {"input": {"text": "a"}})

    assert status == 200
    assert http["output"] == rpc.output == "A"
    assert {"latency_ms", "execution_id", "version", "status"} <= http.keys()


def test_the_routing_key_may_be_a_header(edge, post):
    _, answer = post("/v1/execute/shout", {"input": {"text": "a"}}, **{"Loopai-Routing-Key": "k"})

    [line] = lines(edge, "shout", answer["execution_id"])
    assert line["routing_key"] == "k"


@pytest.mark.parametrize(
    ("task", "value", "outcome", "error"),
    [
        ("loop", {}, "TIMEOUT", ""),
        ("hog", {}, "MEMORY", ""),
        ("divide", {"by": 0}, "ERROR", "ZeroDivisionError: division by zero"),
        ("divide", {}, "ERROR", "KeyError"),
        ("divide", {"by": 0.1}, "ERROR", "output_schema: the output breaks the schema at output"),
    ],
)
def test_a_failing_program_is_an_outcome_and_the_next_call_is_served(
    edge, client, task, value, outcome, error
):
    answer = client.execute(value, task=task)
    after = client.execute({"text": "a"}, task="shout")

    [line] = lines(edge, task, answer.execution_id)
    assert answer.outcome == outcome
    assert error in answer.error
    assert answer.output is None
    assert line["status"] == outcome.lower()
    assert after.output == "A"


def test_a_request_may_lower_the_limit_and_its_timeout_is_not_the_programs(edge, client):
    answer = client.execute({}, task="loop", timeout_ms=20)
    own = client.execute({}, task="loop", timeout_ms=10_000)

    blamed = [
        lines(edge, "loop", each.execution_id)[0]["error"].get("cut_by") for each in (answer, own)
    ]
    assert (answer.outcome, own.outcome) == ("TIMEOUT", "TIMEOUT")
    assert answer.latency_ms < 200
    assert blamed == ["caller", None]


def test_confidence_is_told_on_every_door(edge, client, post):
    rpc = client.execute({}, task="confident")
    _, http = post("/v1/execute/confident", {"input": {}})

    [line] = lines(edge, "confident", rpc.execution_id)
    assert (rpc.output, rpc.confidence) == ("ä", 0.25)
    assert (http["output"], http["confidence"]) == ("ä", 0.25)
    assert (line["output"], line["confidence"]) == ("ä", 0.25)


@pytest.mark.parametrize(
    ("request_", "code", "words"),
    [
        ({"task": "shout", "input_json": b"{nonsense"}, "INVALID_ARGUMENT", "not valid JSON"),
        ({"task": "shout", "input_json": b""}, "INVALID_ARGUMENT", "not valid JSON"),
        ({"task": "absent", "input_json": b"{}"}, "NOT_FOUND", "there is no task 'absent'"),
        ({"task": "", "input_json": b"{}"}, "INVALID_ARGUMENT", "confident, divide, hog"),
        (
            {"task": "loop", "input_json": b'{"x":' + b"[" * 300 + b"]" * 300 + b"}"},
            "INVALID_ARGUMENT",
            "not valid JSON: Recursion limit",
        ),
        ({"task": "no" * 1_000_000, "input_json": b"{}"}, "NOT_FOUND", "there is no task 'nono"),
        ({"task": "😀" * 1_000, "input_json": b"{}"}, "NOT_FOUND", "there is no task '😀"),
        ({"task": "shout", "input_json": b'{"text":5}'}, "INVALID_ARGUMENT", "input.text"),
        ({"task": "shout", "input_json": b"{}"}, "INVALID_ARGUMENT", '"text" is a required'),
    ],
)
def test_a_callers_mistake_is_a_status_that_names_it(edge, request_, code, words):
    with grpc.insecure_channel(edge.grpc) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)

        with pytest.raises(grpc.RpcError) as caught:
            stub.Execute(wire.ExecuteRequest(**request_), timeout=5)

    assert caught.value.code().name == code
    assert words in caught.value.details()


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/execute", {"input": {}}, 400, "confident, divide, hog"),
        ("/v1/execute/absent", {"input": {}}, 404, "there is no task 'absent'"),
        ("/v1/execute/shout", {"input": {"text": 5}}, 400, "input.text"),
        ("/v1/execute/shout", b"{nonsense", 400, "not valid JSON"),
        ("/v1/execute/shout", {"inputs": {}}, 400, '"input" is missing'),
        ("/v1/execute/shout", {"input": {"text": "a"}, "timeout": 1}, 400, "'timeout'"),
        ("/v1/execute/shout", {"input": {"text": "a"}, "timeout_ms": "1"}, 400, "'timeout_ms'"),
        ("/v1/execute/shout", b'{"input":"' + b"x" * 5_000_000 + b'"}', 413, "larger than"),
        ("/nowhere", {}, 404, "/nowhere"),
    ],
)
def test_the_http_door_names_the_mistake(post, path, body, status, words):
    found, document = post(path, body)

    assert found == status
    assert words in document["error"]["message"]


def test_a_batch_answers_in_order_and_refuses_by_item(client):
    results = client.execute_batch([{"text": "a"}, {"text": 1}, {"text": "c"}], task="shout")

    assert [r.reason if isinstance(r, Refusal) else r.output for r in results] == [
        "A",
        "input_schema",
        "C",
    ]


def test_a_stream_answers_every_tag(edge):
    def requests():
        for tag in range(600):
            text = json.dumps({"text": f"t{tag}"}).encode()
            yield wire.ExecuteStreamRequest(
                tag=tag, request=wire.ExecuteRequest(task="shout", input_json=text)
            )

    with grpc.insecure_channel(edge.grpc) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        answers = {
            answer.tag: json.loads(answer.result.response.output_json)
            for answer in stub.ExecuteStream(requests(), timeout=20)
        }

    assert answers == {tag: f"T{tag}" for tag in range(600)}


def test_a_callers_deadline_cuts_the_program_and_is_not_the_programs_fault(edge, client):
    with suppress(grpc.RpcError):  # the answer TIMEOUT and the deadline itself race
        client.execute({}, task="loop", routing_key="impatient", timeout_s=0.05)

    def line() -> dict | None:
        return next((e for e in edge.logged("loop") if e.get("routing_key") == "impatient"), None)

    until(lambda: line() is not None, "the execution is logged")
    assert line()["status"] == "timeout"
    assert line()["error"]["cut_by"] == "caller"


def test_a_reported_truth_is_stored_before_the_answer(edge, client):
    answer = client.execute({"text": "a"}, task="shout")
    with grpc.insecure_channel(edge.grpc) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        stub.ReportOutcome(
            wire.ReportOutcomeRequest(
                task="shout", execution_id=answer.execution_id, truth_json=b'"B"'
            ),
            timeout=5,
        )

    [path] = (edge.data_dir / "datasets" / "shout" / "outcomes").glob("*.jsonl")
    line = json.loads(path.read_text().splitlines()[-1])
    assert (line["execution_id"], line["truth"]) == (answer.execution_id, "B")


@pytest.mark.parametrize("service", ["", "loopai.task.shout"])
def test_health_is_told_by_task_and_overall(edge, service):
    with grpc.insecure_channel(edge.grpc) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        request = health_pb2.HealthCheckRequest(service=service)

        checked = stub.Check(request, timeout=5)
        watched = next(stub.Watch(request, timeout=5))

    assert checked.status == watched.status == health_pb2.HealthCheckResponse.SERVING


def test_reflection_lists_the_service(edge):
    with grpc.insecure_channel(edge.grpc) as channel:
        services = ProtoReflectionDescriptorDatabase(channel).get_services()

    assert "loopai.edge.v1.EdgeService" in services
    assert "grpc.health.v1.Health" in services


def test_pages_for_probes_and_prometheus(edge, client):
    client.execute({"text": "a"}, task="shout")

    health = json.loads(get(edge, "/healthz")[1])
    ready = json.loads(get(edge, "/readyz")[1])
    metrics = get(edge, "/metrics")[1].decode()

    assert health == {"status": "alive"}
    assert ready["ready"] is True
    assert ready["tasks"]["shout"] == {"version": 1}
    assert {ready["isolation"][name] for name in MINIMUM} == {True}
    assert 'edged_isolation_barrier{barrier="seccomp"} 1.0' in metrics
    assert 'edged_executions_total{arm="stable",status="success",task="shout"' in metrics
    assert 'edged_execution_latency_seconds_bucket{le="+Inf",task="shout"}' in metrics


def test_a_slow_task_does_not_hold_up_another(client):
    slow = threading.Thread(target=lambda: client.execute({}, task="loop"))
    slow.start()

    answer = client.execute({"text": "a"}, task="shout")

    assert slow.is_alive()
    slow.join()
    assert answer.output == "A"
