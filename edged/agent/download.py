"""Fetch one artifact over the link, resumable by offset.

Runs in: the agent. Talks to: state/partial. Never: hands out bytes; the store verifies them.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from loopai.control.v1 import link_pb2 as wire

from edged.artifacts.archive import MAX_ARCHIVE_BYTES
from edged.artifacts.manifest import Digest
from edged.datasets.layout import Layout
from edged.errors import ArtifactInvalid

CHUNK_TIMEOUT_S = 30.0


class Downloads:
    """Collects chunks by digest; a partial file survives the connection and the process."""

    def __init__(self, layout: Layout) -> None:
        self._folder = layout.state / "partial"
        self._chunks: dict[str, asyncio.Queue[wire.ArtifactChunk]] = {}

    def receive(self, chunk: wire.ArtifactChunk) -> None:
        """Take a chunk that came down the link; one that nobody waits for is dropped."""
        waiting = self._chunks.get(chunk.digest)
        if waiting is not None:
            waiting.put_nowait(chunk)

    async def fetch(
        self, digest: Digest, send: Callable[[wire.ConnectRequest], Awaitable[None]]
    ) -> bytes:
        """Ask for an artifact and return its bytes.

        Raises ArtifactInvalid when home cannot send it, TimeoutError when home falls silent.
        """
        path = self._path(digest)
        offset = path.stat().st_size if path.exists() else 0
        chunks = self._chunks[digest] = asyncio.Queue()  # bounded by MAX_ARCHIVE_BYTES below
        try:
            request = wire.ArtifactRequest(digest=digest, offset=offset)
            await send(wire.ConnectRequest(artifact_request=request))
            is_last = False
            while not is_last:
                async with asyncio.timeout(CHUNK_TIMEOUT_S):
                    chunk = await chunks.get()
                offset = _append(path, chunk, offset)
                is_last = chunk.is_last
        finally:
            del self._chunks[digest]
        data = path.read_bytes()
        path.unlink()  # whole: it is good or bad for the store to say, and never resumed
        return data

    def _path(self, digest: Digest) -> Path:
        self._folder.mkdir(parents=True, exist_ok=True)
        return self._folder / digest.removeprefix("sha256:")


def _append(path: Path, chunk: wire.ArtifactChunk, offset: int) -> int:
    """Write a chunk where it belongs and return the next offset."""
    if chunk.error:
        raise ArtifactInvalid(reason=f"the control plane cannot send it: {chunk.error}")
    if chunk.offset != offset:
        path.unlink(missing_ok=True)
        raise ArtifactInvalid(reason=f"a chunk for offset {chunk.offset}, not {offset}")
    if offset + len(chunk.data) > MAX_ARCHIVE_BYTES:
        path.unlink(missing_ok=True)
        raise ArtifactInvalid(reason=f"it is larger than {MAX_ARCHIVE_BYTES} bytes")
    with path.open("ab") as file:
        file.write(chunk.data)
    return offset + len(chunk.data)
