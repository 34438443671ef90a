"""`edged privacy scrub`: show each JSON line of standard input as it would leave.

Never: prints a line that the filter withheld, or a part of it.
"""

import sys
from typing import Any, BinaryIO

import orjson
import typer

from edged.agent.privacy.errors import Withheld
from edged.agent.privacy.filter import PrivacyFilter
from edged.agent.privacy.making import make_filter
from edged.commands.privacy.settings import ModeOption, key_of
from edged.commands.settings import Config, DataDir, read_deployment


def scrub(mode: ModeOption = None, config: Config = None, data_dir: DataDir = None) -> None:
    """Print each JSON line of standard input as it would leave this edge.

    A line of output is {"input": …, "erased": [{"path": …, "kind": …}]}; where the mode lets no
    text out, input is null and input_hash stands beside it. A line that cannot be filtered is
    {"input": null, "erased": [], "withheld": REASON}, and the exit code is 1. Hashes are made with
    the key in DATA_DIR, or without one with a key of this run only.
    """
    deployment = read_deployment(config, data_dir)
    key = key_of(deployment.storage.layout)
    privacy = make_filter(deployment, key, mode)
    if not _scrub_lines(privacy, sys.stdin.buffer, sys.stdout.buffer):
        raise typer.Exit(1)


def _scrub_lines(privacy: PrivacyFilter, source: BinaryIO, target: BinaryIO) -> bool:
    """Return whether every line went through."""
    is_whole = True
    for line in source:
        if not line.strip():
            continue
        shown = _scrubbed(privacy, line.strip())
        is_whole = is_whole and "withheld" not in shown
        target.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
        target.flush()
    return is_whole


def _scrubbed(privacy: PrivacyFilter, line: bytes) -> dict[str, Any]:
    try:
        released = privacy.release(line, None, {})
    except Withheld as withheld:
        return {"input": None, "erased": [], "withheld": withheld.reason}
    if released.input_json is None:
        return {"input": None, "input_hash": released.input_hash.hex(), "erased": []}
    erased = [{"path": _in_line(each.path), "kind": each.kind} for each in released.erased]
    return {"input": orjson.Fragment(released.input_json), "erased": erased}


def _in_line(path: str) -> str:
    """Return a path within the line, where a record would name it within its input."""
    return "$" + path.removeprefix("input")
