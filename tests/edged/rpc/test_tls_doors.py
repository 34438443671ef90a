"""TLS 1.3, client certificates, renewal. Where grpcio can do it too, both are held to it."""

import asyncio
import shutil
import ssl

import grpc
import pytest
import structlog
from cryptography import x509

from edged.rpc.tls import Tls
from tests.edged.rpc.conftest import handlers_of, until

OK = grpc.StatusCode.OK
UNAVAILABLE = grpc.StatusCode.UNAVAILABLE


async def echo(request, context):
    return request


@pytest.fixture
def serve_tls(make, kind, issue, ca_path):
    """Return a function that serves with TLS, where asked only to known clients."""

    async def serve_tls(handler, *, is_mutual=False) -> str:
        identity = issue()
        server = make()
        server.add_generic_rpc_handlers((handlers_of({"unary_unary": handler}),))
        settings = (
            Tls(
                certificate=identity.certificate,
                key=identity.key,
                client_ca=ca_path if is_mutual else None,
                require_client_certificate=is_mutual,
            )
            if kind == "ours"
            else grpc.ssl_server_credentials(
                [(identity.key.read_bytes(), identity.certificate.read_bytes())],
                ca_path.read_bytes() if is_mutual else None,
                is_mutual,
            )
        )
        port = server.add_secure_port("127.0.0.1:0", settings)
        await server.start()
        return f"localhost:{port}"

    return serve_tls


@pytest.fixture
def credentials(ca_path, issue):
    """Return a function that makes a client's credentials. name: of its own certificate."""

    def credentials(name: str | None = None):
        root = ca_path.read_bytes()
        if name is None:
            return grpc.ssl_channel_credentials(root)
        own = issue(name)
        return grpc.ssl_channel_credentials(
            root, own.key.read_bytes(), own.certificate.read_bytes()
        )

    return credentials


def client_context(ca_path, maximum=ssl.TLSVersion.TLSv1_3, alpn=("h2",)) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_path))
    context.maximum_version = maximum
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


async def handshake(target: str, context: ssl.SSLContext) -> tuple[str, str, int]:
    """Return the version, the protocol and the serial number of the certificate."""
    host, _, port = target.rpartition(":")
    _, writer = await asyncio.open_connection(host, int(port), ssl=context)
    connection = writer.get_extra_info("ssl_object")
    der = connection.getpeercert(binary_form=True)
    serial = x509.load_der_x509_certificate(der).serial_number
    writer.close()
    return connection.version(), connection.selected_alpn_protocol(), serial


async def test_calls_over_tls(serve_tls, connect, credentials, client):
    target = await serve_tls(echo)
    caller = connect(target, credentials(), client=client)

    answers = await asyncio.gather(
        caller.call("unary_unary", b"hi"), caller.call("unary_unary", bytes(300_000))
    )

    assert [answer.message for answer in answers] == [b"hi", bytes(300_000)]


async def test_it_speaks_tls_1_3_and_h2(serve_tls, ca_path):
    target = await serve_tls(echo)

    version, protocol, _ = await handshake(target, client_context(ca_path))

    assert (version, protocol) == ("TLSv1.3", "h2")


async def test_a_client_certificate_names_the_caller(serve_tls, connect, credentials, client):
    seen = {}

    async def look(request, context):
        seen.update({key: list(values) for key, values in context.auth_context().items()})
        seen["identities"] = list(context.peer_identities() or ())
        return request

    target = await serve_tls(look, is_mutual=True)

    answer = await connect(target, credentials("app-1.example"), client=client).call(
        "unary_unary", b"hi"
    )

    assert answer.code is OK
    assert seen["x509_subject_alternative_name"] == [b"app-1.example"]
    assert seen["identities"] == [b"app-1.example"]
    assert b"BEGIN CERTIFICATE" in seen["x509_pem_cert"][0]
    assert seen["transport_security_type"] == [b"ssl"]


async def test_without_a_client_certificate_nobody_gets_in(serve_tls, connect, credentials):
    target = await serve_tls(echo, is_mutual=True)

    answer = await connect(target, credentials()).call("unary_unary", b"", timeout=5)

    assert answer.code is UNAVAILABLE


async def test_a_strangers_certificate_is_refused(serve_tls, connect, ca_path):
    import trustme

    stranger = trustme.CA().issue_cert("app-1.example")
    target = await serve_tls(echo, is_mutual=True)
    credentials = grpc.ssl_channel_credentials(
        ca_path.read_bytes(),
        stranger.private_key_pem.bytes(),
        b"".join(blob.bytes() for blob in stranger.cert_chain_pems),
    )

    answer = await connect(target, credentials).call("unary_unary", b"", timeout=5)

    assert answer.code is UNAVAILABLE


async def test_a_refusal_for_want_of_a_certificate_is_logged(
    serve_ours, make_tls, ca_path, connect, credentials
):
    tls = make_tls(client_ca=ca_path, require_client_certificate=True)
    served = await serve_ours(unary_unary=echo, tls=tls)

    with structlog.testing.capture_logs() as logs:
        target = f"localhost:{served.port}"
        await connect(target, credentials()).call("unary_unary", b"", timeout=2)

    told = [line for line in logs if "certificate" in str(line).lower()]
    assert told
    assert all(line["log_level"] in {"warning", "info"} for line in told)


async def test_an_optional_certificate_may_be_missing(
    serve_ours, make_tls, ca_path, connect, credentials
):
    seen = []

    async def look(request, context):
        seen.append(list(context.auth_context().get("x509_subject_alternative_name", ())))
        return request

    tls = make_tls(client_ca=ca_path, require_client_certificate=False)
    served = await serve_ours(unary_unary=look, tls=tls)
    target = f"localhost:{served.port}"

    without = await connect(target, credentials()).call("unary_unary", b"")
    with_one = await connect(target, credentials("app")).call("unary_unary", b"")

    assert (without.code, with_one.code) == (OK, OK)
    assert seen == [[], [b"app"]]


async def test_tls_1_2_is_refused(serve_ours, make_tls, ca_path):
    served = await serve_ours(unary_unary=echo, tls=make_tls())
    old = client_context(ca_path, maximum=ssl.TLSVersion.TLSv1_2)

    with pytest.raises((ssl.SSLError, ConnectionError)):
        await handshake(f"localhost:{served.port}", old)


async def test_plain_text_is_refused_on_a_tls_port(serve_ours, make_tls, connect):
    served = await serve_ours(unary_unary=echo, tls=make_tls())

    answer = await connect(f"127.0.0.1:{served.port}").call("unary_unary", b"", timeout=3)

    assert answer.code in {UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}


async def test_a_client_without_h2_is_sent_away(serve_ours, make_tls, ca_path):
    served = await serve_ours(unary_unary=echo, tls=make_tls())
    context = client_context(ca_path, alpn=("http/1.1",))

    async def ask() -> bytes:
        reader, writer = await asyncio.open_connection("localhost", served.port, ssl=context)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        try:
            return await reader.read(1_000_000)
        finally:
            writer.close()

    try:
        answer = await ask()
    except (ssl.SSLError, ConnectionError):
        answer = b""

    assert b"HTTP/1.1 2" not in answer


async def test_a_renewed_certificate_is_served_to_new_connections(
    serve_ours, make_tls, issue, ca_path, connect, credentials, tmp_path
):
    tls = make_tls()
    served = await serve_ours(unary_unary=echo, tls=tls)
    target = f"localhost:{served.port}"
    old_caller = connect(target, credentials())
    await old_caller.call("unary_unary", b"before")
    _, _, first = await handshake(target, client_context(ca_path))
    (tmp_path / "renewed").mkdir()
    renewed = issue("localhost", tmp_path / "renewed")
    shutil.move(renewed.key, tls.key)
    shutil.move(renewed.certificate, tls.certificate)

    while (await handshake(target, client_context(ca_path)))[2] == first:
        pass  # each handshake is a turn of the loop
    still = await old_caller.call("unary_unary", b"after")

    assert still.message == b"after"


async def test_a_broken_renewal_keeps_the_old_certificate(
    serve_ours, make_tls, ca_path, connect, credentials
):
    tls = make_tls()
    served = await serve_ours(unary_unary=echo, tls=tls)
    target = f"localhost:{served.port}"
    _, _, first = await handshake(target, client_context(ca_path))

    with structlog.testing.capture_logs() as logs:
        tls.certificate.write_text("not a certificate")
        await until(lambda: logs)
    _, _, now = await handshake(target, client_context(ca_path))

    assert now == first
    assert str(tls.certificate) in str(logs)


@pytest.mark.parametrize("missing", ["certificate", "key"])
async def test_a_missing_file_is_named(make_tls, missing):
    from edged.rpc import server as make_ours

    tls = make_tls()
    path = getattr(tls, missing)
    path.unlink()

    with pytest.raises(Exception, match=str(path)):
        make_ours().add_secure_port("127.0.0.1:0", tls)


def test_files_that_cannot_be_looked_at_are_as_good_as_gone(tmp_path):
    unreachable = tmp_path / ("x" * 300)  # no file system takes such a name

    assert Tls(certificate=unreachable, key=unreachable).stamps() == ()
