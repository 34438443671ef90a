"""`edged datasets cat`: the lines of a log in clear, whatever form they are kept in."""

import sys
from pathlib import Path
from typing import Annotated, get_args

import typer

from edged.commands.datasets.window import Days, Task, open_task, since
from edged.commands.settings import Config, DataDir, refused
from edged.datasets.archives import read_lines, stored_files
from edged.datasets.layout import Layout, LogKind
from edged.errors import ArchiveDamaged, LogUnreadable, SealedDamaged

Kind = Annotated[LogKind, typer.Option(help=f"Which log: {', '.join(get_args(LogKind))}.")]


def cat(
    task: Task,
    kind: Kind = "executions",
    days: Days = 7,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print the lines of TASK's log, oldest first: archives unpacked, encrypted ones decrypted.

    Of a damaged file come the lines before the damage, then the other files; the exit code is 2.
    """
    layout = open_task(task, config, data_dir)
    first = since(days)
    refusal: typer.Exit | None = None
    try:
        for name, path in stored_files(layout, task, kind):
            if name.date >= first:
                refusal = _print(path, layout) or refusal
        sys.stdout.buffer.flush()
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 Python flushes it at exit
    except (OSError, LogUnreadable) as error:
        raise refused(error) from error
    if refusal is not None:
        raise refusal


def _print(path: Path, layout: Layout) -> typer.Exit | None:
    """Return a refusal where a file is damaged."""
    try:
        for line in read_lines(path, layout.keyring):
            sys.stdout.buffer.write(line + b"\n")
    except (ArchiveDamaged, SealedDamaged) as error:
        return refused(error)
    return None
