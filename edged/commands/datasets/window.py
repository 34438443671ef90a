"""Which task, which days: what the verbs of `edged datasets` ask for.

Used by: the verbs. Never: changes anything.
"""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated

import typer

from edged.commands.settings import read_deployment, refused
from edged.datasets.layout import Layout

Task = Annotated[str, typer.Argument(help="The task's name.")]
Days = Annotated[int, typer.Option(min=1, help="Look back this many days of UTC, today included.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def open_layout(config: Path | None, data_dir: Path | None) -> Layout:
    """Return where the data lies; exits with one line where there is none that can be listed."""
    layout = read_deployment(config, data_dir).storage.layout
    try:
        tasks_of(layout)
    except (FileNotFoundError, NotADirectoryError) as error:
        reason = f"{layout.data_dir} holds no datasets; name the folder with --data-dir"
        raise refused(reason) from error
    except OSError as error:
        raise refused(error) from error
    return layout


def open_task(task: str, config: Path | None, data_dir: Path | None) -> Layout:
    """Return where the data lies; exits with one line where there is none of this task."""
    layout = open_layout(config, data_dir)
    known = tasks_of(layout)
    if task not in known:
        raise refused(f"there is no dataset of '{task}' here; there is: {', '.join(known) or '-'}")
    return layout


def tasks_of(layout: Layout) -> list[str]:
    return sorted(path.name for path in layout.datasets.iterdir() if path.is_dir())


def since(days: int) -> str:
    """Return the first date of the window; of one that is longer than history, the first of all."""
    first = datetime.now(UTC).date().toordinal() - days + 1
    return date.fromordinal(max(first, date.min.toordinal())).isoformat()
