"""Who may call, on every door of a real edge."""

import json
import socket
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from hashlib import sha256

import grpc
import pytest
import trustme
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from loopai.answers import write_request
from loopai.edge.v1 import edge_pb2, edge_pb2_grpc

from scripts.support.artifacts import write_artifact
from scripts.support.stack import EdgeProcess, until

pytestmark = pytest.mark.processes
ECHO = "def run(input_data):\n    return input_data\n"
KEYS = {"app": "edge_app", "reporter": "edge_reporter", "operator": "edge_operator"}
SCOPES = {"app": ["execute"], "reporter": ["report"], "operator": ["admin"]}
UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED
DENIED = grpc.StatusCode.PERMISSION_DENIED


def entry(name):
    return {
        "name": name,
        "key_sha256": sha256(KEYS[name].encode()).hexdigest(),
        "scopes": SCOPES[name],
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("access")


@pytest.fixture(scope="module", params=["ngh2", "grpcio"])
def edge(request, folder):
    path = folder / request.param
    path.mkdir()
    write_artifact(path / "artifacts", "echo", ECHO, {}, {})
    callers = path / "callers.yaml"
    callers.write_text(json.dumps({"callers": [entry(name) for name in KEYS]}))
    settings = {
        "runtime": {"rpc_server": request.param},
        "artifacts": {"folder": str(path / "artifacts")},
        "access": {"callers_file": str(callers)},
    }
    with EdgeProcess(path, settings) as process:
        until((process.data_dir / "artifacts" / "echo" / "active").exists, "the edge serves")
        process.callers = callers
        yield process


@pytest.fixture
def stub(edge):
    with grpc.insecure_channel(edge.grpc) as channel:
        yield edge_pb2_grpc.EdgeServiceStub(channel)


def bearer(key):
    return (("authorization", f"Bearer {key}"),) if key else ()


def code_of(call, *words, **named):
    return code_of_all(lambda: [call(*words, **named, timeout=10)])


def code_of_all(read):
    try:
        list(read())
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


def request():
    return write_request({"a": 1}, "echo", "", 0)


def http_status(edge, path, key, body=None):
    asked = urllib.request.Request(f"http://{edge.http}{path}", data=body)
    if key:
        asked.add_header("authorization", f"Bearer {key}")
    try:
        with urllib.request.urlopen(asked, timeout=10) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, UNAUTHENTICATED),
        ("edge_other", UNAUTHENTICATED),
        (KEYS["reporter"], DENIED),
        (KEYS["app"], grpc.StatusCode.OK),
    ],
)
def test_execute_needs_its_scope(edge, stub, key, code):
    batch = edge_pb2.ExecuteBatchRequest(requests=[request()])

    assert code_of(stub.Execute, request(), metadata=bearer(key)) is code
    assert code_of(stub.ExecuteBatch, batch, metadata=bearer(key)) is code
    stream = stub.ExecuteStream(
        iter([edge_pb2.ExecuteStreamRequest(tag=1, request=request())]),
        metadata=bearer(key),
        timeout=10,
    )
    assert code_of_all(lambda: stream) is code


def test_the_other_methods_need_theirs(edge, stub):
    report = edge_pb2.ReportOutcomeRequest(task="echo", execution_id="x", truth_json=b"1")
    tasks = edge_pb2.ListTasksRequest()

    assert code_of(stub.ReportOutcome, report, metadata=bearer(KEYS["app"])) is DENIED
    invalid = grpc.StatusCode.INVALID_ARGUMENT  # beyond the door: its id is no UUID
    assert code_of(stub.ReportOutcome, report, metadata=bearer(KEYS["reporter"])) is invalid
    assert code_of(stub.ListTasks, tasks) is UNAUTHENTICATED
    assert code_of(stub.ListTasks, tasks, metadata=bearer(KEYS["app"])) is grpc.StatusCode.OK


def test_health_is_open_and_reflection_is_for_administrators(edge):
    with grpc.insecure_channel(edge.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = reflection_pb2.ServerReflectionRequest(list_services="")

        assert health.Check(health_pb2.HealthCheckRequest(), timeout=10).status == 1
        for key, code in ((None, UNAUTHENTICATED), (KEYS["operator"], grpc.StatusCode.OK)):
            call = reflection.ServerReflectionInfo(iter([asked]), metadata=bearer(key), timeout=10)
            assert code_of_all(lambda call=call: call) is code


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/execute", None, 401),
        ("/execute", "edge_other", 401),
        ("/v1/execute/echo", KEYS["operator"], 403),
        ("/v1/execute/echo", KEYS["app"], 200),
        ("/metrics", None, 401),
        ("/metrics", KEYS["app"], 403),
        ("/metrics", KEYS["operator"], 200),
        ("/healthz", None, 200),
        ("/readyz", None, 200),
    ],
)
def test_the_http_door_asks_the_same(edge, path, key, status):
    body = b'{"input": 1}' if "execute" in path else None

    assert http_status(edge, path, key, body) == status


def test_a_revoked_key_is_refused_and_a_broken_file_changes_nothing(edge, stub):
    whole = edge.callers.read_text()
    edge.callers.write_text(json.dumps({"callers": [entry("app"), entry("operator")]}))
    report = edge_pb2.ReportOutcomeRequest(task="echo", execution_id="x", truth_json=b"1")
    key = bearer(KEYS["reporter"])
    until(lambda: code_of(stub.ReportOutcome, report, metadata=key) is UNAUTHENTICATED, "revoked")

    edge.callers.write_text("callers: [{name: app, scopes: [everything]}]")

    until(lambda: edge.events("callers_refused"), "the file is refused")
    assert code_of(stub.Execute, request(), metadata=bearer(KEYS["app"])) is grpc.StatusCode.OK
    edge.callers.write_text(whole)
    until(lambda: code_of(stub.ReportOutcome, report, metadata=key) is not UNAUTHENTICATED, "back")


def test_a_new_key_works_with_its_entry():
    made = subprocess.run(
        [sys.executable, "-m", "edged.commands", "keys", "new", "shop", "--json"],
        capture_output=True,
        check=True,
        text=True,
    )

    found = json.loads(made.stdout)

    assert found["caller"]["key_sha256"] == sha256(found["key"].encode()).hexdigest()
    assert found["caller"]["scopes"] == ["execute"]


@pytest.mark.parametrize(
    ("listen", "word"),
    [
        ({"grpc": "0.0.0.0:0"}, "listen.grpc"),
        ({"grpc": "127.0.0.1:0", "http": "0.0.0.0:0"}, "listen.http"),
    ],
)
def test_strangers_are_kept_out_at_start(tmp_path, listen, word):
    config = tmp_path / "deployment.yaml"
    config.write_text(json.dumps({"listen": listen, "storage": {"data_dir": str(tmp_path)}}))

    done = subprocess.run(
        [sys.executable, "-m", "edged.commands", "serve", "--config", str(config)],
        capture_output=True,
        check=False,
        text=True,
        timeout=20,
    )

    assert done.returncode == 2
    assert word in done.stderr
    assert "TLS" in done.stderr
    assert "insecure" in done.stderr


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def secure(folder, authority):
    path = folder / "secure"
    path.mkdir()
    write_artifact(path / "artifacts", "echo", ECHO, {}, {})
    issue(authority, path, "localhost")
    authority.cert_pem.write_to_path(path / "ca.pem")
    callers = {"callers": [{"name": "shop", "identity": "shop.example", "scopes": ["execute"]}]}
    (path / "callers.yaml").write_text(json.dumps(callers))
    settings = {
        "artifacts": {"folder": str(path / "artifacts")},
        "access": {"callers_file": str(path / "callers.yaml")},
        "listen": {
            "tls": {
                "certificate": str(path / "cert.pem"),
                "key": str(path / "key.pem"),
                "client_ca": str(path / "ca.pem"),
                "require_client_certificate": True,
            },
        },
    }
    with EdgeProcess(path, settings) as process:
        until((process.data_dir / "artifacts" / "echo" / "active").exists, "the edge serves")
        process.folder = path
        yield process


def issue(authority, path, name):
    certificate = authority.issue_cert(name, "127.0.0.1")
    certificate.private_key_pem.write_to_path(path / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(path / "cert.pem")


def client_context(authority, name, path):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if name:
        authority.issue_cert(name).configure_cert(context)
    return context


@pytest.mark.parametrize(("name", "status"), [("shop.example", 200), ("other.example", 401)])
def test_a_certificate_names_its_caller(secure, authority, tmp_path, name, status):
    context = client_context(authority, name, tmp_path)
    asked = urllib.request.Request(f"https://{secure.http}/v1/execute/echo", data=b'{"input": 1}')

    try:
        with urllib.request.urlopen(asked, timeout=10, context=context) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code

    assert found == status


def test_grpc_knows_the_certificate_too(secure, authority):
    leaf = authority.issue_cert("shop.example")
    credentials = grpc.ssl_channel_credentials(
        authority.cert_pem.bytes(), leaf.private_key_pem.bytes(), leaf.cert_chain_pems[0].bytes()
    )

    with grpc.secure_channel(secure.grpc, credentials) as channel:
        stub = edge_pb2_grpc.EdgeServiceStub(channel)
        assert code_of(stub.Execute, request()) is grpc.StatusCode.OK
        assert code_of(stub.ReportOutcome, edge_pb2.ReportOutcomeRequest(task="echo")) is DENIED


def test_without_a_certificate_the_handshake_fails_and_the_log_says_why(
    secure, authority, tmp_path
):
    context = client_context(authority, None, tmp_path)

    with pytest.raises((ssl.SSLError, OSError)):
        urllib.request.urlopen(f"https://{secure.http}/healthz", timeout=10, context=context)

    until(
        lambda: any("CERTIFICATE" in line["reason"] for line in secure.events("handshake_failed")),
        "the log says why",
    )


def test_older_tls_is_refused(secure, authority, tmp_path):
    context = client_context(authority, "shop.example", tmp_path)
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises((ssl.SSLError, OSError)):
        urllib.request.urlopen(f"https://{secure.http}/healthz", timeout=10, context=context)


def test_a_renewed_certificate_serves_new_connections(secure, authority, tmp_path):
    context = client_context(authority, "shop.example", tmp_path)
    host, port = secure.grpc.rsplit(":", 1)
    context.set_alpn_protocols(["h2"])

    def serial():
        raw = socket.create_connection((host, int(port)), timeout=10)
        with raw, context.wrap_socket(raw, server_hostname="127.0.0.1") as wrapped:
            return wrapped.getpeercert()["serialNumber"]

    before = serial()

    issue(authority, secure.folder, "localhost")

    until(lambda: serial() != before, "the new certificate is served")
