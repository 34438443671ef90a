"""The form of a sealed batch's file, and of the checkpoint that it moves.

A batch file starts with one JSON line (number, positions, filter) and holds the compressed
TelemetryBatch behind it. The checkpoint's own file is such a line alone.

Runs in: the agent. Never: writes a file, or says which batches there are.
"""

import gzip
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from edged.datasets.follower import Positions

_COMPRESSION = 1  # the fastest: records shrink to a fourth, and the link compresses anew
DAMAGES = (gzip.BadGzipFile, EOFError, zlib.error)
"""What unpacking says of a file that is not whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """number: of the last sealed batch. positions: followed up to here, by kind of log.

    unlogged: how many of each gateway run's executions without a line were told. forced: how many
    lines that the size limit took unread, by kind of log. dropped: for the next batch to tell.
    """

    number: int
    positions: dict[str, Positions]
    unlogged: dict[str, int] = field(default_factory=dict)
    forced: dict[str, int] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)


def pack(checkpoint: Checkpoint, batch: bytes, filtered_by: str) -> bytes:
    return line_of(checkpoint, filtered_by) + gzip.compress(batch, _COMPRESSION, mtime=0)


def unpack(content: bytes) -> tuple[bytes, str]:
    """Return a serialised TelemetryBatch and its `filtered_by`. Raises one of DAMAGES."""
    line, _, batch = content.partition(b"\n")
    return gzip.decompress(batch), _filter_of(line)


def line_of(checkpoint: Checkpoint, filtered_by: str = "") -> bytes:
    document = {
        "number": checkpoint.number,
        "positions": checkpoint.positions,
        "unlogged": checkpoint.unlogged,
        "filter": filtered_by,
    }
    losses = {"forced": checkpoint.forced, "dropped": checkpoint.dropped}
    document |= {name: counts for name, counts in losses.items() if counts}
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def read_checkpoint(path: Path) -> Checkpoint:
    """Return what a checkpoint's file says; where there is none, the beginning."""
    try:
        return _parsed(path.read_bytes())
    except FileNotFoundError:
        return Checkpoint(number=0, positions={})


def read_header(path: Path) -> Checkpoint:
    """Return what the first line of a batch's file says."""
    return _parsed(_first_line(path))


def read_filter(path: Path) -> str:
    """Return the fingerprint of the filter that the records of a batch's file passed."""
    return _filter_of(_first_line(path))


def _first_line(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.readline()


def _filter_of(line: bytes) -> str:
    return str(orjson.loads(line).get("filter", ""))


def _parsed(line: bytes) -> Checkpoint:
    document = orjson.loads(line)
    return Checkpoint(
        number=document["number"],
        positions=document["positions"],
        unlogged=document.get("unlogged", {}),
        forced=document.get("forced", {}),
        dropped=document.get("dropped", {}),
    )
