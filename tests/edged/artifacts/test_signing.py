import pytest

from edged.artifacts.manifest import Digest
from edged.artifacts.signing import ArtifactStatement, SigningKey, VerifyingKey
from edged.errors import SignatureInvalid

KEY = SigningKey.generate()
STATEMENT = ArtifactStatement(task="spam", version=1, digest=Digest("sha256:00"))


def test_a_pinned_key_opens_what_its_other_half_signed():
    pinned = VerifyingKey.from_bytes(KEY.public.raw)

    assert pinned.open_state(KEY.sign_state(b"state")) == b"state"


def test_a_key_survives_its_file(tmp_path):
    path = tmp_path / "signing.pem"
    path.write_bytes(KEY.pem)

    assert SigningKey.read(path).public.raw == KEY.public.raw


@pytest.mark.parametrize("envelope", [b"", b"[]", b"{}", b'{"payload":1}', b"\xff"])
def test_what_is_no_envelope_is_refused(envelope):
    with pytest.raises(SignatureInvalid):
        KEY.public.open_state(envelope)


def test_another_key_is_refused():
    with pytest.raises(SignatureInvalid, match="pinned key"):
        SigningKey.generate().public.open_state(KEY.sign_state(b"state"))


def test_a_changed_payload_is_refused():
    envelope = KEY.sign_state(b"state").replace(b"c3RhdGU", b"c3RhdmU")

    with pytest.raises(SignatureInvalid, match="pinned key"):
        KEY.public.open_state(envelope)


def test_a_state_does_not_pass_for_an_artifact():
    with pytest.raises(SignatureInvalid, match="payload type"):
        KEY.public.check_artifact(KEY.sign_state(b"{}"), STATEMENT)


def test_an_artifacts_signature_holds_for_its_own_statement_only():
    envelope = KEY.sign_artifact(STATEMENT)
    other = ArtifactStatement(task="spam", version=2, digest=STATEMENT.digest)

    KEY.public.check_artifact(envelope, STATEMENT)
    with pytest.raises(SignatureInvalid, match="it is for"):
        KEY.public.check_artifact(envelope, other)
