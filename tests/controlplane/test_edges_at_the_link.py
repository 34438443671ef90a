"""A real edge at a real control plane: a private authority, certificates both ways, its own key."""

import ssl

import httpx2
import pytest
import trustme

from scripts.support.stack import EdgeProcess, StackError, until
from tests.controlplane.processes import API_KEY, control_plane

pytestmark = pytest.mark.processes


@pytest.fixture
def files(tmp_path):
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    for name in ("127.0.0.1", "edge-7.example.com"):
        issued = authority.issue_cert(name)
        issued.private_key_and_cert_chain_pem.write_to_path(tmp_path / f"{name}.pem")
    return tmp_path


@pytest.fixture
def mutual(files):
    pem = str(files / "127.0.0.1.pem")
    tls = {
        "LOOPAI_TLS_CERTIFICATE": pem,
        "LOOPAI_TLS_KEY": pem,
        "LOOPAI_TLS_CLIENT_CA": str(files / "ca.pem"),
        "LOOPAI_TLS_REQUIRE_CLIENT_CERTIFICATE": "true",
    }
    with control_plane(files / "plane", **tls) as plane:
        yield plane


@pytest.fixture
def start_edge(files):
    """Start an edge with this key, and these settings of its cloud section."""
    running = []

    def start(key, **cloud):
        key_file = files / "edge-key"
        key_file.write_text(key)
        folder = files / f"edge-{len(running)}"
        edge = EdgeProcess(folder, {"cloud": cloud}, None, "--api-key-file", str(key_file))
        running.append(edge)
        edge.start()
        return edge

    yield start
    for edge in running:
        edge.stop()


def heard(edge, event):
    """Wait for an event of the edge's log, which may have come already; return the newest."""
    until(lambda: edge.events(event), f"the edge says {event}", timeout_s=25)
    return edge.events(event)[-1]


def addresses(plane):
    url = plane.wait_for("controlplane_ready")["http"]
    return {"api_url": url, "link_url": f"{url.partition(':')[0]}://{plane.link}"}


def test_edge_connects_by_its_own_key_and_certificate_until_the_key_is_revoked(
    mutual, start_edge, files
):
    own = str(files / "edge-7.example.com.pem")
    ca = str(files / "ca.pem")
    trust = ssl.create_default_context(cafile=ca)
    trust.load_cert_chain(own)
    url = mutual.wait_for("controlplane_ready")["http"]
    headers = {"authorization": f"Bearer {API_KEY}"}
    with httpx2.Client(base_url=url, headers=headers, verify=trust, timeout=20) as rest:
        made = rest.post("/api/v1/keys", json={"name": "edge-7", "scope": "edge"}).json()

        edge = start_edge(made["key"], **addresses(mutual), ca=ca, client_certificate=own)
        heard(edge, "link_up")
        rest.post("/api/v1/keys/edge-7/revoke").raise_for_status()

    assert "'edge-7' was revoked" in heard(edge, "link_down")["reason"]
    assert made["key"] not in edge.log.read_text()


def test_edge_without_the_authority_does_not_connect(mutual, start_edge):
    edge = start_edge(API_KEY, **addresses(mutual))

    assert "UNAVAILABLE" in heard(edge, "link_down")["reason"]
    assert not edge.events("link_up")


def test_authority_that_cannot_be_read_is_refused_at_start(start_edge, files):
    with pytest.raises(StackError, match=r"cloud\.ca: .*nowhere\.pem"):
        start_edge(API_KEY, api_url="https://127.0.0.1:1", ca=str(files / "nowhere.pem"))


def test_authority_for_an_address_in_clear_is_refused_at_start(start_edge, files):
    with pytest.raises(StackError, match="https://"):
        start_edge(API_KEY, api_url="http://127.0.0.1:1", ca=str(files / "ca.pem"))


def test_reference_server_serves_a_real_edge(start_edge, files):
    with control_plane(files / "plane", LOOPAI_RPC_SERVER="grpcio") as plane:
        edge = start_edge(API_KEY, **addresses(plane))

        heard(edge, "link_up")
