import pytest

from edged.agent.store import ArtifactStore, StoredVersion
from edged.artifacts.archive import digest_of, pack
from edged.artifacts.manifest import Digest
from edged.datasets.layout import Layout
from edged.errors import ArtifactInvalid, DigestMismatch


@pytest.fixture
def layout(tmp_path):
    return Layout(tmp_path)


@pytest.fixture
def store(layout):
    return ArtifactStore(layout)


def test_an_added_artifact_is_held_by_its_digest(store, make_artifact):
    data = pack(make_artifact())

    stored = store.add(data, expected=digest_of(data))

    assert stored == StoredVersion(task="shout", version=1, digest=digest_of(data))
    assert list(store.held()) == [stored]


def test_adding_the_same_again_changes_nothing(store, layout, make_artifact):
    data = pack(make_artifact())
    store.add(data)
    before = (layout.version("shout", 1) / "program.py").stat().st_mtime_ns

    store.add(data)

    assert (layout.version("shout", 1) / "program.py").stat().st_mtime_ns == before


def test_a_version_is_immutable(store, make_artifact):
    store.add(pack(make_artifact()))

    with pytest.raises(ArtifactInvalid, match="exists with another digest"):
        store.add(pack(make_artifact("def run(input_data):\n    return 1\n")))


def test_another_digest_than_expected_leaves_no_trace(store, layout, make_artifact):
    with pytest.raises(DigestMismatch):
        store.add(pack(make_artifact()), expected=Digest("sha256:00"))

    assert not layout.artifacts.exists()


def test_a_damaged_version_is_not_held_and_is_replaced(store, layout, make_artifact):
    data = pack(make_artifact())
    stored = store.add(data)
    (layout.version("shout", 1) / "metadata.json").write_text("{")

    damaged = list(store.held())
    store.add(data)

    assert damaged == []
    assert list(store.held()) == [stored]


def test_active_follows_the_link(store, make_artifact):
    first = store.add(pack(make_artifact()))
    second = store.add(pack(make_artifact(version=2)))

    store.activate("shout", 1)
    before = list(store.active())
    store.activate("shout", 2)

    assert before == [first]
    assert list(store.active()) == [second]
