"""The versions that this edge runs no more, by digest, with the reason: state/quarantine.json.

Used by: the gateway (adds, and refuses them at its next start), the agent (reports them). Never:
forgets one while its artifact may still be routed. A better program has another digest; to try the
same one again, stop the edge and delete the file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import structlog

from edged.artifacts.manifest import Digest
from edged.files import write_whole

MOST: Final = 1_000  # the oldest go first; far more than an edge has versions

log = structlog.get_logger()


class QuarantineFile:
    """Read by two processes, written by one."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Mapping[Digest, str]:
        """Return the reasons. A damaged file is said and counts as empty: serving goes on."""
        try:
            document = json.loads(self._path.read_bytes())
            return {Digest(digest): str(reason) for digest, reason in document.items()}
        except FileNotFoundError:
            return {}
        except (ValueError, AttributeError) as error:
            log.error("quarantine_unreadable", path=str(self._path), reason=str(error))
            return {}

    def add(self, digest: Digest, reason: str) -> None:
        """Raises OSError where the folder cannot be written."""
        entries = {**self.read(), digest: reason}
        newest = dict(list(entries.items())[-MOST:])
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, json.dumps(newest, indent=2).encode() + b"\n")
