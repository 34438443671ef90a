"""Make an artifact from a program's text, for an edge that serves a folder.

Runs in: bench, chaos and tests.
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edged.artifacts.archive import Artifact, pack
from edged.artifacts.manifest import Manifest, Provenance


def write_artifact(
    folder: Path,
    task: str,
    program: str,
    input_schema: dict[str, Any],
    output_schema: dict[str, Any],
    *,
    version: int = 1,
) -> Path:
    """Write `<task>-v<version>.zip` into the folder and return its path."""
    manifest = Manifest(
        id=f"00000000-0000-7000-8000-{version:012d}",
        task_id="00000000-0000-7000-8000-000000000000",
        task=task,
        version=version,
        synthesis_strategy="rule",
        input_schema=input_schema,
        output_schema=output_schema,
        provenance=Provenance(origin="uploaded"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{task}-v{version}.zip"
    path.write_bytes(pack(Artifact(manifest=manifest, program=program, self_tests=())))
    return path
