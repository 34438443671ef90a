"""`edged privacy erase`: take a subject's data out, here now and at home as soon as it is reached.

Never: sends what the subject is known by; home is told the executions' ids.
"""

import sys
import time
from typing import Annotated
from uuid import uuid4

import orjson
import typer

from edged.agent.erasing import KINDS
from edged.agent.erasures import ErasureFolder, Request
from edged.agent.privacy.matching import Match
from edged.commands.settings import Config, DataDir, read_deployment, refused
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

    Prints one JSON object. The running agent looks once more, and asks home to erase the same
    executions until home has acknowledged it; state/erasures has the account of it.
    """
    try:
        for each in match:
            Match.parse(each)
    except ValueError as error:
        raise refused(f"--match: {error}") from error
    layout = read_deployment(config, data_dir).storage.layout
    if not any(layout.log(task, kind).is_dir() for kind in KINDS):
        raise refused(f"{layout.data_dir} has no data of {task}")
    request = Request(
        erasure_id=str(uuid4()),
        task=task,
        matches=match,
        execution_ids=[],
        requested_at=time.time(),
    )
    eraser = request.eraser(layout)
    try:
        counts = eraser.find() if dry_run else eraser.erase()
    except (LoopaiError, OSError) as error:
        raise refused(str(error)) from error
    shown = {"task": task, "executions": len(eraser.ids), "erased": dict(counts)}
    if not dry_run:
        request.execution_ids, request.erased = sorted(eraser.ids), dict(counts)
        shown["request"] = str(ErasureFolder(layout).add(request))
    shown["dry_run"] = dry_run
    sys.stdout.buffer.write(orjson.dumps(shown, option=orjson.OPT_APPEND_NEWLINE))
