"""The output schemas of the versions on this disk; an output is named by its place in its enum.

Runs in: the agent. Talks to: artifacts/<task>/v<n>/metadata.json. Never: takes a damaged one.
"""

from functools import lru_cache
from typing import Any

from edged.artifacts.manifest import Manifest
from edged.datasets.layout import Layout
from edged.errors import ArtifactInvalid

KNOWN_VERSIONS = 256
NO_SCHEMA: dict[str, Any] = {}


class OutputSchemas:
    """Reads each version's once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.of = lru_cache(KNOWN_VERSIONS)(self._read)

    def _read(self, task: str, version: int) -> dict[str, Any]:
        try:
            path = self._layout.version(task, version) / "metadata.json"
            return Manifest.parse(path.read_bytes()).output_schema
        except (OSError, ArtifactInvalid):
            return NO_SCHEMA
