import stat

from controlplane.storage.keys import KeyFolder


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_secrets_are_readable_by_their_owner_only(tmp_path):
    folder = tmp_path / "keys"
    keys = KeyFolder(folder)

    keys.prepare()
    keys.create_api_key()

    assert mode(folder) == 0o700
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert len(list(folder.iterdir())) == 3


def test_secrets_survive_a_second_start(tmp_path):
    keys = KeyFolder(tmp_path / "keys")
    keys.prepare()
    before = (keys.pepper(), keys.signing_key().public.raw)

    keys.prepare()

    assert (keys.pepper(), keys.signing_key().public.raw) == before
