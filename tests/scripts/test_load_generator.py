"""The generator counts what was answered and what failed, on both kinds of loop."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from scripts.support.bench import empty, load
from scripts.support.bench.load import Target
from scripts.support.certificates import write_certificates

MESSAGE = bytes(100)


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return write_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module", params=["ours", "grpcio"])
def server(request, ca):
    from pathlib import Path

    with empty.started(request.param, Path(ca).parent) as addresses:
        yield addresses


@pytest.mark.parametrize("transport", ["plain", "tls"])
def test_every_answer_is_counted(server, ca, transport):
    trusted = ca if transport == "tls" else None
    target = Target(address=server[transport], method=empty.NORMAL, message=MESSAGE, ca=trusted)

    sample = load._own(target, in_flight=4, calls=100)

    assert (sample.answered, sample.failed) == (100, 0)
    assert sample.data_bytes == 100 * (5 + len(MESSAGE))
    assert 0 < sample.p50_ms <= sample.p99_ms


def test_a_status_other_than_0_is_a_failure_whoever_generates(server):
    target = Target(address=server["plain"], method="/loopai.bench.Empty/None", message=MESSAGE)

    own = load._own(target, in_flight=4, calls=50)
    chosen = load.measure(target, 4, 0.2)

    assert (own.answered, own.failed) == (0, 50)
    assert chosen.answered == 0
    assert chosen.failed > 0


def test_a_steady_rate_sends_as_many_as_were_asked(server):
    target = Target(address=server["plain"], method=empty.NORMAL, message=MESSAGE)

    sample = load.measure_steady(target, 500, 0.5)

    assert sample.answered + sample.failed == 250
    assert sample.failed == 0


def test_http_1_answers_are_counted_by_status():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200 if json.loads(body) else 503)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *words):
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as served:
        threading.Thread(target=served.serve_forever).start()
        address = f"127.0.0.1:{served.server_port}"
        good, bad = (
            load._own(
                Target(address=address, method="/", message=body, http1=True), in_flight=1, calls=20
            )
            for body in (b"1", b"0")
        )
        served.shutdown()

    assert (good.answered, good.failed) == (20, 0)
    assert bad.failed > 0
    assert bad.answered == 0
