"""`loopai keys` and the other commands against a control plane with TLS and a private authority."""

import json

import pytest
import trustme
from loopai.cli.commands import app
from typer.testing import CliRunner

from tests.controlplane.processes import API_KEY, control_plane

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    issued = authority.issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "server.pem")
    return folder


@pytest.fixture(scope="module")
def url(tmp_path_factory, files):
    pem = str(files / "server.pem")
    folder = tmp_path_factory.mktemp("plane") / "data"
    with control_plane(folder, LOOPAI_TLS_CERTIFICATE=pem, LOOPAI_TLS_KEY=pem) as plane:
        yield plane.wait_for("controlplane_ready")["http"]


@pytest.fixture
def loopai(url, files):
    """Run a command with a key; without one, the first."""

    def run(*words, key=API_KEY, ca=True):
        told = ["--url", url, *(["--ca", str(files / "ca.pem")] if ca else [])]
        return CliRunner().invoke(app, [*words, *told], env={"LOOPAI_API_KEY": key})

    return run


def test_key_is_made_used_and_revoked(loopai):
    made = loopai("keys", "create", "reporting", "--scope", "read")
    key = made.stdout.strip()
    assert (made.exit_code, "shown again" in made.stderr) == (0, True)
    assert loopai("tasks", "--json", key=key).exit_code == 0
    beyond = loopai("create", "spam", key=key)
    assert (beyond.exit_code, "this needs 'admin'" in beyond.stderr) == (1, True)

    revoked = loopai("keys", "revoke", "reporting")

    after = loopai("tasks", key=key)
    listed = {row["name"]: row for row in json.loads(loopai("keys", "list", "--json").stdout)}
    assert revoked.exit_code == 0
    assert (after.exit_code, "was revoked" in after.stderr) == (1, True)
    assert listed["reporting"]["revoked_at"]
    assert listed["first"]["revoked_at"] is None
    assert key not in loopai("keys", "list").stdout


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["keys", "create", "first", "--scope", "read"], "already"),
        (["keys", "create", "x", "--scope", "root"], "scope"),
        (["keys", "revoke", "nobody"], "nobody"),
        (["keys", "revoke", "first"], "last key"),
    ],
)
def test_what_cannot_be_done_is_one_line(loopai, words, complaint):
    refused = loopai(*words)

    assert refused.exit_code == 1
    assert complaint in refused.stderr
    assert len(refused.stderr.strip().splitlines()) == 1


def test_unknown_authority_is_not_trusted(loopai):
    refused = loopai("tasks", ca=False)

    assert (refused.exit_code, "certificate" in refused.stderr.lower()) == (1, True)


def test_group_stands_aside_for_its_subcommands(loopai):
    assert loopai("tickets").exit_code == 0
    assert "no-such-ticket" in loopai("tickets", "show", "no-such-ticket").stderr


def test_examples_that_are_refused_can_be_added_later(loopai, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text("nonsense")

    refused = loopai("create", "mended", "--examples", str(rows))
    rows.write_text('{"text": "a", "label": "x"}\n')
    added = loopai("examples", "mended", str(rows))

    assert refused.exit_code != 0
    assert "loopai examples mended" in refused.stderr
    assert added.stdout == "mended: 1 examples stored\n"


def test_examples_that_are_not_there_make_no_task(loopai, tmp_path):
    refused = loopai("create", "late", "--examples", str(tmp_path / "none.jsonl"))
    assert refused.exit_code == 2
    named = [task["name"] for task in json.loads(loopai("tasks", "--json").stdout)]
    assert "late" not in named
