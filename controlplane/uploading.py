"""Make a version out of an uploaded program, tried on the task's own examples.

Runs in: the server. Talks to: tasks, artifacts. Never: stores anything of a refused upload.
"""

import orjson

from controlplane.artifacts.uploads import Upload, Uploads
from controlplane.artifacts.versions import Versions
from controlplane.drafting import draft_task
from controlplane.storage.models import ArtifactRow
from controlplane.tasks.examples import Examples
from controlplane.tasks.specification import Task
from edged.artifacts.archive import SelfTest

SAMPLES = 200  # of the task's examples; a few milliseconds


class Uploading:
    """The use case."""

    def __init__(self, examples: Examples, uploads: Uploads, versions: Versions) -> None:
        self._examples = examples
        self._uploads = uploads
        self._versions = versions

    async def upload(
        self, task: Task, content: bytes, *, returns_confidence: bool, activate: bool
    ) -> ArtifactRow:
        """Raises ArtifactRefused."""
        rows = await self._examples.page(task.id, limit=SAMPLES, offset=0)
        samples = [
            SelfTest(input=orjson.loads(row.input_json), output=orjson.loads(row.output_json))
            for row in rows
        ]
        upload = Upload(
            content=content,
            task=draft_task(task),
            samples=samples,
            returns_confidence=returns_confidence,
        )
        draft = await self._uploads.check(upload)
        return await self._versions.publish(draft, activate=activate)
