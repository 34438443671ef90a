"""Both doors of a real control plane with TLS 1.3: who gets in, and renewal on disk."""

import socket
import ssl
import time
from pathlib import Path

import grpc
import httpx2
import pytest
import trustme
from loopai.control.v1 import link_pb2 as pb
from loopai.control.v1.link_pb2_grpc import ControlPlaneServiceStub

from controlplane.config import load
from controlplane.errors import ConfigInvalid
from tests.controlplane.processes import API_KEY, control_plane

KEY = (("authorization", f"Bearer {API_KEY}"),)
RENEWED_WITHIN_S = 5

pytestmark = pytest.mark.processes


class Files:
    """A certificate authority and what a server and a client need of it, on disk."""

    def __init__(self, folder: Path) -> None:
        self.authority = trustme.CA()
        self.ca = folder / "ca.pem"
        self.certificate = folder / "server.pem"
        self.key = folder / "server.key"
        self.client = folder / "client.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.renew()
        issued = self.authority.issue_cert("edge-7.example.com")
        issued.private_key_and_cert_chain_pem.write_to_path(self.client)

    def renew(self) -> None:
        issued = self.authority.issue_cert("127.0.0.1", "localhost")
        for path, content in (
            (self.certificate, b"".join(pem.bytes() for pem in issued.cert_chain_pems)),
            (self.key, issued.private_key_pem.bytes()),
        ):
            temporary = path.with_suffix(".new")
            temporary.write_bytes(content)
            temporary.replace(path)

    def settings(self, **more: str) -> dict[str, str]:
        return {
            "LOOPAI_TLS_CERTIFICATE": str(self.certificate),
            "LOOPAI_TLS_KEY": str(self.key),
        } | more

    def context(self, *, with_certificate: bool = False) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if with_certificate:
            context.load_cert_chain(self.client)
        return context

    def credentials(self, *, with_certificate: bool = False) -> grpc.ChannelCredentials:
        pem = self.client.read_bytes() if with_certificate else None
        return grpc.ssl_channel_credentials(self.ca.read_bytes(), pem, pem)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return Files(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def secure(tmp_path_factory, files):
    with control_plane(tmp_path_factory.mktemp("plane") / "data", **files.settings()) as plane:
        yield plane


@pytest.fixture(scope="module")
def mutual(tmp_path_factory, files):
    more = {
        "LOOPAI_TLS_CLIENT_CA": str(files.ca),
        "LOOPAI_TLS_REQUIRE_CLIENT_CERTIFICATE": "true",
    }
    folder = tmp_path_factory.mktemp("plane") / "data"
    with control_plane(folder, **files.settings(**more)) as plane:
        yield plane


def addresses(plane):
    """REST's and the link's, as (host, port)."""
    ready = plane.wait_for("controlplane_ready")
    doors = ready["http"].split("//")[1], ready["link"]
    return [(door.rpartition(":")[0], int(door.rpartition(":")[2])) for door in doors]


def enrol(plane, credentials):
    with grpc.secure_channel(plane.link, credentials) as channel:
        return ControlPlaneServiceStub(channel).Enroll(
            pb.EnrollRequest(name="e"), metadata=KEY, timeout=10
        )


def rest(plane, context):
    url = plane.wait_for("controlplane_ready")["http"] + "/api/v1/edges"
    return httpx2.get(url, verify=context, headers=dict(KEY), timeout=10)


def serial_number(address, context):
    with (
        socket.create_connection(address, timeout=5) as plain,
        context.wrap_socket(plain, server_hostname="127.0.0.1") as connection,
    ):
        return connection.getpeercert()["serialNumber"]


def test_both_doors_speak_tls(secure, files):
    assert enrol(secure, files.credentials()).deployment_id
    assert rest(secure, files.context()).status_code == 200


@pytest.mark.parametrize("door", [0, 1], ids=["rest", "link"])
def test_client_of_tls_1_2_is_refused(secure, files, door):
    context = files.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2

    with pytest.raises(ssl.SSLError):
        serial_number(addresses(secure)[door], context)

    assert "protocol" in secure.wait_for("handshake_failed")["reason"].lower()


def test_renewed_certificate_is_served_while_old_connections_live(secure, files):
    context = files.context()
    context.set_alpn_protocols(["h2", "http/1.1"])
    doors = addresses(secure)
    before = [serial_number(door, context) for door in doors]
    url = secure.wait_for("controlplane_ready")["http"]
    with (
        grpc.secure_channel(secure.link, files.credentials()) as channel,
        httpx2.Client(base_url=url, verify=files.context(), headers=dict(KEY)) as client,
    ):
        stub = ControlPlaneServiceStub(channel)
        stub.Enroll(pb.EnrollRequest(name="e"), metadata=KEY, timeout=10)
        client.get("/api/v1/edges")

        files.renew()
        end_s = time.monotonic() + RENEWED_WITHIN_S
        while any(
            serial_number(door, context) == old for door, old in zip(doors, before, strict=True)
        ):
            assert time.monotonic() < end_s
            time.sleep(0.1)

        stub.Enroll(pb.EnrollRequest(name="e"), metadata=KEY, timeout=10)
        assert client.get("/api/v1/edges").status_code == 200


def test_caller_without_the_certificate_asked_for_is_refused_and_logged(mutual, files):
    with pytest.raises(grpc.RpcError) as refused:
        enrol(mutual, files.credentials())
    with pytest.raises(httpx2.HTTPError):
        rest(mutual, files.context())

    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "certificate" in mutual.wait_for("handshake_failed", count=2)["reason"].lower()
    assert enrol(mutual, files.credentials(with_certificate=True)).deployment_id
    assert rest(mutual, files.context(with_certificate=True)).status_code == 200


def test_address_for_others_is_fine_with_tls(tmp_path, files):
    settings = load(
        data_dir=tmp_path,
        host="0.0.0.0",  # noqa: S104 the point
        tls_certificate=files.certificate,
        tls_key=files.key,
    )

    assert not settings.doors.is_insecure


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"tls_certificate": "certificate"}, "tls_certificate"),
        ({"tls_client_ca": "ca"}, "tls_client_ca"),
        ({"tls_certificate": "ca", "tls_key": "key"}, "tls_certificate"),
        ({"tls_certificate": "nowhere", "tls_key": "key"}, "tls_certificate"),
    ],
)
def test_half_or_wrong_tls_is_refused_at_start(tmp_path, files, given, setting):
    paths = {name: getattr(files, word, tmp_path / word) for name, word in given.items()}

    with pytest.raises(ConfigInvalid, match=setting):
        load(data_dir=tmp_path, **paths)


def test_reference_server_cannot_be_held_to_tls_1_3(tmp_path, files):
    with pytest.raises(ConfigInvalid, match="rpc_server"):
        load(
            data_dir=tmp_path,
            tls_certificate=files.certificate,
            tls_key=files.key,
            rpc_server="grpcio",
        )
