"""`edged privacy erase`: take a subject's data out, here now and at home as soon as it is reached.

Never: sends what the subject is known by; home is told the executions' ids.
"""

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import orjson
import typer

from edged.agent.erasing import KINDS, Eraser
from edged.agent.erasures import ErasureFolder, Request
from edged.agent.privacy.matching import Match
from edged.commands.settings import Config, DataDir, read_deployment, refused
from edged.datasets.layout import Layout
from edged.errors import LoopaiError


def erase(
    task: Annotated[str, typer.Argument(help="The task's name.")],
    match: Annotated[
        list[str],
        typer.Option(
            help="What the subject is known by: a text anywhere in a record, or PATH=VALUE, such "
            "as '$.customer.id=4711'. May be repeated: a record that fits one of them goes."
        ),
    ],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would go.")] = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Erase a subject's records from executions, validations, outcomes, archives, sealed batches.

    Prints one JSON object. What cannot be read stays as it is, stands there under `damaged`, and
    makes the exit code 1. The running agent looks once more, and asks home to erase the same
    executions until home has acknowledged it; state/erasures has the account of it.
    """
    _check_matches(match)
    layout = read_deployment(config, data_dir).storage.layout
    _check_has_data(layout, task)
    request = Request(
        erasure_id=str(uuid4()),
        task=task,
        matches=match,
        execution_ids=[],
        requested_at=time.time(),
    )
    eraser, folder = request.eraser(layout), ErasureFolder(layout)
    shown: dict[str, Any] = {"task": task}
    try:
        counts = eraser.find()
        if not dry_run:
            with folder.at_work():
                counts = carry_out(request, eraser, folder)
            shown["request"] = str(folder.path_of(request))
    except (LoopaiError, OSError) as error:
        raise refused(_cut_off(error, folder.path_of(request))) from error
    shown |= {
        "executions": len(eraser.ids),
        "erased": dict(counts),
        "damaged": sorted(eraser.damaged),
        "dry_run": dry_run,
    }
    sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
    if eraser.damaged:
        raise typer.Exit(1)


def _check_matches(match: list[str]) -> None:
    try:
        for each in match:
            Match.parse(each)
    except ValueError as error:
        raise refused(f"--match: {error}") from error


def _check_has_data(layout: Layout, task: str) -> None:
    logs = [path for path in layout.datasets.glob("*/*") if path.name in KINDS and path.is_dir()]
    if task not in {path.parent.name for path in logs}:
        raise refused(f"{layout.data_dir} has no data of {task}")


def carry_out(request: Request, eraser: Eraser, folder: ErasureFolder) -> Counter[str]:
    """Erase; what was found is noted first, so that the agent can go on where this is cut off."""
    request.learn(eraser)
    folder.add(request)
    counts = eraser.erase()
    request.learn(eraser)
    request.erased = dict(counts)
    folder.add(request)
    return counts


def _cut_off(error: Exception, path: Path) -> str:
    rest = f"; what is left goes by the running agent, which has {path}" if path.exists() else ""
    return f"{error}{rest}"
