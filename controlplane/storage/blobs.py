"""Keep artifacts' bytes under their digest, written once and never changed.

A store on an object service takes the place of the folder by another `obstore` store.
Runs in: jobs and server (write), server (read). Never: returns bytes that are not the digest's.
"""

import asyncio
import os
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import LocalStore

from controlplane.errors import BlobDamaged, BlobMissing
from edged.artifacts.archive import digest_of
from edged.artifacts.manifest import Digest


class Blobs:
    """A folder of immutable blobs; it is made when missing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = LocalStore(folder, mkdir=True)

    async def put(self, content: bytes) -> Digest:
        """Store and return the digest; storing the same bytes again changes nothing."""
        digest = digest_of(content)
        try:
            await obstore.put_async(self._store, _path(digest), content, mode="create")
        except AlreadyExistsError:
            return digest
        await asyncio.to_thread(_sync, self._folder / _path(digest))
        return digest

    async def get(self, digest: Digest) -> bytes:
        """Raises BlobMissing or BlobDamaged."""
        try:
            result = await obstore.get_async(self._store, _path(digest))
        except FileNotFoundError as error:
            raise BlobMissing(digest=digest) from error
        content = bytes(await result.bytes_async())
        if digest_of(content) != digest:
            raise BlobDamaged(expected=digest, actual=digest_of(content))
        return content


def _path(digest: Digest) -> str:
    kind, _, text = digest.partition(":")
    return f"{kind}/{text[:2]}/{text}.zip"


def _sync(path: Path) -> None:
    """Survive a power loss: the database will refer to this file; the library does not sync."""
    for place in (path, path.parent):
        descriptor = os.open(place, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
