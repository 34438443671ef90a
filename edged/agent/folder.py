"""Serve artifacts from a folder, for an edge without a control plane.

Runs in: the agent. Talks to: the configured folder, the store, the applier. Never: deletes or
changes anything in that folder.
"""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import structlog

from edged.agent.applier import Applier, Target
from edged.agent.store import ArtifactStore, StoredVersion
from edged.artifacts.archive import open_folder, pack
from edged.errors import LoopaiError

log = structlog.get_logger()
SCAN_INTERVAL_S = 1.0

Seen = dict[Path, tuple[int, int]]  # file → modification time in ns, size


class FolderSource:
    """Watches the folder and applies the highest version of every task in it.

    Without a folder it adopts, once, what lies in data_dir/artifacts without a route.
    """

    def __init__(self, folder: Path | None, store: ArtifactStore, applier: Applier) -> None:
        self._folder = folder
        self._store = store
        self._applier = applier
        self._seen: Seen = {}
        self._versions: dict[Path, StoredVersion] = {}

    async def run(self) -> None:
        if self._folder is None:
            await self._adopt()
            return
        if not self._folder.is_dir():
            log.warning("artifacts_folder_missing", folder=str(self._folder))
        while True:
            await self.scan(self._folder)
            await asyncio.sleep(SCAN_INTERVAL_S)

    async def scan(self, folder: Path) -> None:
        """Take in what is new; a file that is refused is named once and left alone."""
        present = _candidates(folder)
        changed = {path for path, stamp in present.items() if self._seen.get(path) != stamp}
        gone = self._seen.keys() - present.keys()
        self._seen = present
        for path in gone:
            self._versions.pop(path, None)
        for path in sorted(changed):
            self._take(path)
        if changed or gone:
            best = _highest(self._versions.values())
            await self._applier.apply("local", map(Target.of, best))

    async def _adopt(self) -> None:
        routed = self._applier.routes.tasks
        active = {version.task: version for version in self._store.active()}
        found = {**{v.task: v for v in _highest(self._store.held())}, **active}
        orphans = [version for task, version in found.items() if task not in routed]
        local = [
            StoredVersion(task=task, version=route.arms[0].version, digest=route.arms[0].digest)
            for task, route in routed.items()
            if route.source == "local"
        ]
        if orphans or local:
            await self._applier.apply("local", map(Target.of, [*local, *orphans]))

    def _take(self, path: Path) -> None:
        try:
            data = path.read_bytes() if path.suffix == ".zip" else pack(open_folder(path.parent))
            self._versions[path] = self._store.add(data)
        except (LoopaiError, OSError) as error:
            log.warning("artifact_refused", path=str(path), reason=str(error))
            self._versions.pop(path, None)


def _candidates(folder: Path) -> Seen:
    """Return the ZIPs in the folder, and the program of an artifact unpacked into it."""
    paths = [*folder.glob("*.zip"), *folder.glob("program.py"), *folder.glob("*/program.py")]
    found: Seen = {}
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue
        found[path] = (status.st_mtime_ns, status.st_size)
    return found


def _highest(versions: Iterable[StoredVersion]) -> list[StoredVersion]:
    best: dict[str, StoredVersion] = {}
    for version in versions:
        if version.task not in best or version.version > best[version.task].version:
            best[version.task] = version
    return list(best.values())
