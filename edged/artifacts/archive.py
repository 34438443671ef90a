"""Pack, read and unpack artifacts: a deterministic ZIP known by its SHA-256 digest.

The same manifest, program and examples give the same bytes on every machine: entries are sorted,
stored uncompressed (zlib's output differs between builds) and dated with ZIP's epoch.
Used by: the control plane (pack, read), the agent (unpack), the gateway (open an unpacked one).
Never: writes outside the folder it was given, or runs anything.
"""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from edged.artifacts.manifest import Digest, Manifest
from edged.errors import ArtifactInvalid

MAX_ARCHIVE_BYTES = 32 * 1024 * 1024  # four times the largest program with room for its examples
EPOCH = (1980, 1, 1, 0, 0, 0)
TEMPLATES = ("Dockerfile", "README.md", "__main__.py", "deployment.yaml", "requirements.txt")
OWN = ("examples.jsonl", "manifest.json", "program.py")
EDGE_NAMES = {"manifest.json": "metadata.json"}  # the specification's name on an edge's disk


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """One example that the program must reproduce before it serves."""

    input: Any
    output: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact:
    """A program with everything an edge needs to serve it."""

    manifest: Manifest
    program: str
    self_tests: tuple[SelfTest, ...]


def pack(artifact: Artifact) -> bytes:
    """Return the ZIP's bytes."""
    texts = _texts(artifact)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(texts):
            entry = zipfile.ZipInfo(name, EPOCH)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, also when packed elsewhere
            archive.writestr(entry, texts[name])
    return buffer.getvalue()


def digest_of(data: bytes) -> Digest:
    """Return "sha256:…" of the ZIP's bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def read(data: bytes) -> Artifact:
    """Read a ZIP. Raises ArtifactInvalid saying what is wrong; nothing of it is run."""
    return _artifact(_entries(data))


def unpack(data: bytes, folder: Path) -> Artifact:
    """Write a ZIP's files below `folder`, which must exist and be empty.

    The caller makes the folder appear whole. Raises ArtifactInvalid.
    """
    entries = _entries(data)
    artifact = _artifact(entries)
    for name, content in entries.items():
        (folder / EDGE_NAMES.get(name, name)).write_bytes(content)
    return artifact


def open_folder(folder: Path) -> Artifact:
    """Read an unpacked artifact. Raises ArtifactInvalid, also for a missing file."""
    entries = {}
    for name in OWN:
        path = folder / EDGE_NAMES.get(name, name)
        if not path.exists():
            path = folder / name  # unzipped by hand
        try:
            entries[name] = path.read_bytes()
        except OSError as error:
            raise ArtifactInvalid(reason=f"{path}: {error.strerror}") from error
    return _artifact(entries)


def _entries(data: bytes) -> dict[str, bytes]:
    if len(data) > MAX_ARCHIVE_BYTES:
        raise ArtifactInvalid(reason=f"it is larger than {MAX_ARCHIVE_BYTES} bytes")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            listed = archive.infolist()
            _check_listing(listed)
            return {entry.filename: archive.read(entry) for entry in listed}
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ArtifactInvalid(reason=f"not a readable ZIP: {error}") from error


def _check_listing(listed: list[zipfile.ZipInfo]) -> None:
    """Raise ArtifactInvalid for paths, unknown or repeated names, missing files and ZIP bombs."""
    names = [entry.filename for entry in listed]
    unknown = sorted(set(names) - set(TEMPLATES) - set(OWN))
    missing = sorted(set(OWN) - set(names))
    if unknown:
        raise ArtifactInvalid(reason=f"unexpected entry {unknown[0]!r}")
    if missing:
        raise ArtifactInvalid(reason=f"{missing[0]} is missing")
    if len(names) != len(set(names)):
        raise ArtifactInvalid(reason="an entry occurs twice")
    if sum(entry.file_size for entry in listed) > MAX_ARCHIVE_BYTES:
        raise ArtifactInvalid(reason=f"it unpacks to more than {MAX_ARCHIVE_BYTES} bytes")


def _artifact(entries: Mapping[str, bytes]) -> Artifact:
    manifest = Manifest.parse(entries["manifest.json"])
    try:
        program = entries["program.py"].decode()
    except UnicodeDecodeError as error:
        raise ArtifactInvalid(reason="program.py is not UTF-8") from error
    return Artifact(
        manifest=manifest,
        program=program,
        self_tests=tuple(_self_tests(entries["examples.jsonl"].splitlines())),
    )


def _self_tests(lines: Iterable[bytes]) -> Iterable[SelfTest]:
    for number, line in enumerate(lines, start=1):
        try:
            row = json.loads(line)
            yield SelfTest(input=row["input"], output=row["output"])
        except (ValueError, KeyError, TypeError) as error:
            reason = f'examples.jsonl, line {number}: not {{"input": …, "output": …}}'
            raise ArtifactInvalid(reason=reason) from error


def _texts(artifact: Artifact) -> dict[str, bytes]:
    manifest = artifact.manifest
    facts = {
        "task": manifest.task,
        "version": manifest.version,
        "description": manifest.description,
        "strategy": manifest.synthesis_strategy,
        "score": f"{manifest.confidence_score:.3f}",
    }
    texts = {name: _template(name) for name in TEMPLATES}
    texts["README.md"] = texts["README.md"].format_map(facts)
    texts["manifest.json"] = manifest.render()
    texts["program.py"] = artifact.program
    texts["examples.jsonl"] = "".join(
        json.dumps({"input": row.input, "output": row.output}, ensure_ascii=False) + "\n"
        for row in artifact.self_tests
    )
    return {name: text.encode() for name, text in texts.items()}


@cache
def _template(name: str) -> str:
    return (resources.files("edged.artifacts") / "template" / name).read_text()
