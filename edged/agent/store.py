"""The artifacts on this edge's disk: unpacked, immutable, found again by digest.

Runs in: the agent. Talks to: data_dir/artifacts. Never: changes a version that is there.
"""

import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from edged.artifacts.archive import Artifact, digest_of, open_folder, pack, read, unpack
from edged.artifacts.manifest import Digest
from edged.datasets.layout import Layout
from edged.errors import ArtifactInvalid, DigestMismatch
from edged.files import point_link, sync_folder, sync_tree

log = structlog.get_logger()
DIGEST_FILE = "digest"
FRESH_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredVersion:
    """One version of a task, ready to be served."""

    task: str
    version: int
    digest: Digest


class ArtifactStore:
    """Adds, finds and activates versions."""

    def __init__(self, layout: Layout, clock: Callable[[], float] = time.time) -> None:
        """clock: seconds since the epoch."""
        self._layout = layout
        self._clock = clock

    def add(self, data: bytes, *, expected: Digest | None = None) -> StoredVersion:
        """Unpack a ZIP into its place; adding the same one again changes nothing.

        Raises DigestMismatch, or ArtifactInvalid also when the version exists with another digest.
        """
        digest = digest_of(data)
        if expected is not None and digest != expected:
            raise DigestMismatch(expected=expected, actual=digest)
        manifest = read(data).manifest
        stored = StoredVersion(task=manifest.task, version=manifest.version, digest=digest)
        folder = self._layout.version(stored.task, stored.version)
        if self._is_present(stored, folder):
            return stored
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            unpack(data, temporary)
            (temporary / DIGEST_FILE).write_text(digest)
            sync_tree(temporary)
            temporary.chmod(0o755)
            temporary.rename(folder)
        except BaseException:
            shutil.rmtree(temporary, ignore_errors=True)
            raise
        sync_folder(folder.parent)
        return stored

    def held(self) -> Iterator[StoredVersion]:
        """Yield every readable version; one that is damaged is left out, and fetched anew."""
        for folder in sorted(self._layout.artifacts.glob("*/v[0-9]*")):
            try:
                yield self._stored(folder)
            except (ArtifactInvalid, ValueError):
                continue

    def active(self) -> Iterator[StoredVersion]:
        """Yield what the `active` links point at."""
        for link in sorted(self._layout.artifacts.glob("*/active")):
            try:
                yield self._stored(link.resolve())
            except (ArtifactInvalid, ValueError):
                continue

    def activate(self, task: str, version: int) -> None:
        """Point the task's `active` link at a version."""
        link, target = self._layout.active(task), f"v{version}"
        if not (link.is_symlink() and str(link.readlink()) == target):
            point_link(link, target)

    def prune(self, keep_versions: int, in_use: Collection[tuple[str, int]]) -> None:
        """Delete the oldest versions of each task above a number, but none that is in use.

        Of one that a kill caught coming or going, nothing stays longer than an hour.

        in_use: task and version. One that came within the hour stays: it may be about to serve.
        """
        for task in self._layout.artifacts.glob("*"):
            self._remove_leftovers(task)
            folders = [f for f in task.glob("v[0-9]*") if f.name[1:].isdecimal()]
            versions = sorted((int(folder.name[1:]), folder) for folder in folders)
            for version, folder in versions[:-keep_versions]:
                if (task.name, version) not in in_use and not self._is_fresh(folder):
                    self._delete(folder)

    def _remove_leftovers(self, task: Path) -> None:
        for folder in task.glob(".v*"):
            if not self._is_fresh(folder):
                shutil.rmtree(folder)

    def _is_fresh(self, folder: Path) -> bool:
        return self._clock() - folder.stat().st_mtime < FRESH_S

    def _delete(self, folder: Path) -> None:
        going = folder.with_name(f".{folder.name}.going")
        shutil.rmtree(going, ignore_errors=True)  # a kill may have left one
        folder.rename(going)  # whole or not at all
        shutil.rmtree(going)
        log.info("artifact_deleted", task=folder.parent.name, version=int(folder.name[1:]))

    def _stored(self, folder: Path) -> StoredVersion:
        artifact = open_folder(folder)
        manifest = artifact.manifest
        if folder != self._layout.version(manifest.task, manifest.version).resolve():
            raise ArtifactInvalid(reason=f"{folder} holds {manifest.task} v{manifest.version}")
        return StoredVersion(
            task=manifest.task, version=manifest.version, digest=_digest(folder, artifact)
        )

    def _is_present(self, stored: StoredVersion, folder: Path) -> bool:
        try:
            present = self._stored(folder.resolve()).digest
        except ArtifactInvalid:  # absent, or damaged: make room for the good one
            shutil.rmtree(folder, ignore_errors=True)
            return False
        if present != stored.digest:
            reason = (
                f"{stored.task} v{stored.version} exists with another digest; use a new version"
            )
            raise ArtifactInvalid(reason=reason)
        return True


def _digest(folder: Path, artifact: Artifact) -> Digest:
    """Return the digest noted at unpacking, or make one for a folder placed by hand."""
    noted = folder / DIGEST_FILE
    return Digest(noted.read_text()) if noted.exists() else digest_of(pack(artifact))
