import pytest

from controlplane.errors import BlobDamaged, BlobMissing
from edged.artifacts.archive import digest_of


async def test_blob_is_read_back_by_its_digest(blobs):
    digest = await blobs.put(b"content")

    assert digest == digest_of(b"content")
    assert await blobs.get(digest) == b"content"


async def test_same_bytes_may_be_stored_again(blobs):
    assert await blobs.put(b"content") == await blobs.put(b"content")


async def test_missing_blob_is_named(blobs):
    with pytest.raises(BlobMissing):
        await blobs.get(digest_of(b"never stored"))


async def test_damaged_blob_is_never_handed_out(blobs, tmp_path):
    digest = await blobs.put(b"content")
    (path,) = (tmp_path / "blobs").rglob("*.zip")
    path.write_bytes(b"changed")

    with pytest.raises(BlobDamaged):
        await blobs.get(digest)
