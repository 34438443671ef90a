"""Edges as real processes, serving folders of artifacts."""

from pathlib import Path

import pytest

from edged.artifacts.archive import Artifact, pack
from scripts.support.stack import EdgeProcess, until


@pytest.fixture
def start_edge(tmp_path: Path):
    """Return a function that starts an edge on artifacts and waits until all of them serve."""
    running = []

    def start(*artifacts: Artifact, **settings: object) -> EdgeProcess:
        folder = tmp_path / "artifacts"
        for artifact in artifacts:
            put(folder, artifact)
        edge = EdgeProcess(tmp_path, {"artifacts": {"folder": str(folder)}, **settings})
        running.append(edge)
        edge.start()
        for artifact in artifacts:
            active = edge.data_dir / "artifacts" / artifact.manifest.task / "active"
            until(active.exists, f"{artifact.manifest.task} is active")
        return edge

    yield start
    for edge in running:
        edge.stop()


@pytest.fixture
def put_artifact(tmp_path: Path):
    """Return a function that adds an artifact to the folder of a running edge."""
    return lambda artifact: put(tmp_path / "artifacts", artifact)


def put(folder: Path, artifact: Artifact) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / f"{artifact.manifest.task}-v{artifact.manifest.version}.zip"
    temporary = path.with_suffix(".part")
    temporary.write_bytes(pack(artifact))
    return temporary.rename(path)
