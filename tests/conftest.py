"""Fixtures of the whole suite: test data, artifacts made on the spot."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edged.artifacts.archive import Artifact, SelfTest
from edged.artifacts.manifest import Manifest, Provenance

ROOT = Path(__file__).resolve().parents[1]
SHOUT = 'def run(input_data):\n    return input_data["text"].upper()\n'
TEXT_INPUT = {
    "type": "object",
    "properties": {"text": {"type": "string", "maxLength": 10_000}},
    "required": ["text"],
}


@pytest.fixture(scope="session")
def text_data() -> Path:
    """The folder with real labelled text, where this machine has it."""
    folder = Path(os.environ.get("LOOPAI_TEST_DATA", ROOT.parent / "shared" / "data")) / "text"
    if not folder.is_dir():
        pytest.skip(f"no test data in {folder}; name its folder in LOOPAI_TEST_DATA")
    return folder


def make(
    program: str = SHOUT,
    *,
    task: str = "shout",
    version: int = 1,
    self_tests: tuple[SelfTest, ...] = (),
    **fields: object,
) -> Artifact:
    manifest = Manifest(
        id=f"00000000-0000-7000-8000-{version:012d}",
        task_id="00000000-0000-7000-8000-000000000000",
        task=task,
        version=version,
        synthesis_strategy="rule",
        provenance=Provenance(origin="uploaded"),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        **{"input_schema": TEXT_INPUT, **fields},
    )
    return Artifact(manifest=manifest, program=program, self_tests=self_tests)


@pytest.fixture(scope="session")
def make_artifact():
    """Return a function that makes an artifact from a program's text."""
    return make
