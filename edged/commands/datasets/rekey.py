"""`edged datasets rekey`: bring what is kept under the first key, so that older ones can go."""

from pathlib import Path
from typing import Any

import orjson
import typer

from edged.commands.datasets.window import AsJson, open_layout, tasks_of
from edged.commands.settings import Config, DataDir, refused
from edged.datasets.archives import is_current, read_lines, stored_files, write_archive
from edged.datasets.layout import KINDS, Layout
from edged.datasets.statistics import StatisticsFiles
from edged.errors import LogUnreadable


def rekey(as_json: AsJson = False, config: Config = None, data_dir: DataDir = None) -> None:
    """Encrypt every archive, and the statistics, under the first key of storage.encryption.

    To rotate: put the new key first, restart, wait until the days written before are archived, run
    this until it says that nothing waits, and take the old key out. Without a key nothing is done.
    """
    layout = open_layout(config, data_dir)
    if layout.keyring is None:
        raise refused("storage.encryption has no key")
    try:
        report = _rekey(layout)
    except (OSError, LogUnreadable) as error:
        raise refused(error) from error
    words = f"{report['rewritten']} files rewritten; {len(report['waiting'])} files wait"
    typer.echo(orjson.dumps(report) if as_json else words)


def _rekey(layout: Layout) -> dict[str, Any]:
    rewritten: list[Path] = []
    waiting: list[Path] = []  # still appended to, followed or counted
    for path in _files(layout):
        if is_current(path, layout.keyring):
            continue
        if path.suffix == ".gz":
            write_archive(path, read_lines(path, layout.keyring), layout.keyring)
            rewritten.append(path)
        else:
            waiting.append(path)
    for task in tasks_of(layout):
        _rekey_statistics(layout, task, rewritten, waiting)
    return {"rewritten": len(rewritten), "waiting": [str(path) for path in waiting]}


def _rekey_statistics(
    layout: Layout, task: str, rewritten: list[Path], waiting: list[Path]
) -> None:
    stored = stored_files(layout, task, "executions")
    counted = {name.date for name, _ in stored if not name.is_archive}
    files = StatisticsFiles(layout)
    for date in sorted(files.dates(task)):
        if files.is_current(task, date):
            continue
        if date in counted:
            waiting.append(files.path(task, date))
        else:
            files.rekey(task, date)
            rewritten.append(files.path(task, date))


def _files(layout: Layout) -> list[Path]:
    return [
        path
        for task in tasks_of(layout)
        for kind in KINDS
        for _, path in stored_files(layout, task, kind)
    ]
