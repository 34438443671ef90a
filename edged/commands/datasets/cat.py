"""`edged datasets cat`: the lines of a log in clear, whatever form they are kept in."""

import sys
from typing import Annotated, get_args

import typer

from edged.commands.datasets.window import Days, Task, open_task, since
from edged.commands.settings import Config, DataDir, refused
from edged.datasets.archives import read_lines, stored_files
from edged.datasets.layout import LogKind
from edged.errors import KeyMissing, SealedDamaged

Kind = Annotated[LogKind, typer.Option(help=f"Which log: {', '.join(get_args(LogKind))}.")]


def cat(
    task: Task,
    kind: Kind = "executions",
    days: Days = 7,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Print the lines of TASK's log, oldest first: archives unpacked, encrypted ones decrypted."""
    layout = open_task(task, config, data_dir)
    first = since(days)
    try:
        for name, path in stored_files(layout, task, kind):
            for line in read_lines(path, layout.keyring) if name.date >= first else ():
                sys.stdout.buffer.write(line + b"\n")
    except (KeyMissing, SealedDamaged) as error:
        raise refused(error) from error
    except BrokenPipeError:  # `| head` has seen enough
        sys.stdout = open("/dev/null", "w")  # noqa: SIM115, PTH123 Python flushes it at exit
