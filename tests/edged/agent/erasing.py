"""A data_dir in which one subject stands everywhere, and hands to erase it."""

import gzip
from pathlib import Path
from uuid import UUID

import orjson

from edged.agent.erasing import Eraser
from edged.agent.privacy.matching import Match
from edged.datasets.layout import Layout
from edged.datasets.records import Execution, render
from edged.datasets.writer import LogWriter

MARKER = "Ann Marker"
DAY_S = 86_400.0
TODAY_S = 1_764_000_000.0
TIME = "2025-11-24T16:00:00.000Z"


def identifier(number: int) -> str:
    return str(UUID(int=(0x019AB000000 + number) << 80 | 0x7 << 76 | 0x8 << 60 | number))


def execution(number: int, text: str, output: str = "spam") -> bytes:
    return render(
        Execution(
            execution_id=identifier(number),
            task="spam",
            version=1,
            arm="stable",
            input_json=orjson.dumps({"text": text}),
            output_json=orjson.dumps(output),
            latency_ms=1.0,
        ),
        TIME,
    )


def validation(number: int, text: str) -> bytes:
    line = {
        "id": f"v{number}",
        "execution_id": identifier(number),
        "oracle_output": "ham",
        "oracle_cost": 0.0,
        "oracle_latency_ms": 1.0,
        "match": False,
        "similarity_score": 0.0,
        "comparison_method": "exact",
        "validated_at": TIME,
        "oracle": "http",
        "channel": "audit",
        "inclusion_probability": 0.05,
        "task": "spam",
        "version": 1,
        "arm": "stable",
        "input": {"text": text},
        "output": "spam",
        "confidence": None,
        "status": "success",
        "executed_at": TIME,
    }
    return orjson.dumps(line) + b"\n"


def outcome(number: int, truth: object = "ham") -> bytes:
    return orjson.dumps({"execution_id": identifier(number), "truth": truth}) + b"\n"


def write(layout: Layout, kind: str, at_s: float, *lines: bytes) -> Path:
    writer = LogWriter(layout, kind, lambda: at_s)
    path = writer.append("spam", list(lines))
    writer.close()
    return path


def content(layout: Layout) -> bytes:
    """Return every byte below datasets and batches, in clear."""
    found = b""
    for path in layout.data_dir.rglob("*"):
        if path.is_file() and "erasures" not in path.parts:
            raw = path.read_bytes()
            found += raw
            if path.suffix == ".batch":
                found += gzip.decompress(raw.partition(b"\n")[2])
            if path.suffix == ".gz":
                found += gzip.decompress(raw)
    return found


def eraser(layout: Layout, *written: str) -> Eraser:
    matches = [Match.parse(each) for each in written or (MARKER,)]
    return Eraser(layout, "spam", matches, frozenset())


def erase(layout: Layout) -> dict[str, int]:
    found = eraser(layout)
    found.find()
    return found.erase()
