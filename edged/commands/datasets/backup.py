"""`edged datasets export` and `import`: a backup of what this edge kept, and back."""

from pathlib import Path
from typing import Annotated

import orjson
import typer

from edged.commands.datasets.window import AsJson, open_layout, since, tasks_of
from edged.commands.settings import Config, DataDir, read_deployment, refused
from edged.datasets import backup
from edged.errors import BackupInvalid, LogUnreadable

EVER = "0000-00-00"


def export(
    target: Annotated[Path, typer.Argument(help="The tar file to write.")],
    task: Annotated[list[str] | None, typer.Option(help="Only this task; may be repeated.")] = None,
    days: Annotated[int | None, typer.Option(min=1, help="Only the last days. [default: all]")] = (
        None
    ),
    clear: Annotated[bool, typer.Option("--clear", help="Decrypt what is encrypted.")] = False,
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Write the logs of all tasks into one tar file, while the edge goes on serving.

    It holds gzip files of JSON lines and a manifest with their digests. Encrypted logs stay
    encrypted: keep the keys with it, or give --clear.
    """
    layout = open_layout(config, data_dir)
    known = tasks_of(layout)
    unknown = set(task or ()) - set(known)
    if unknown:
        raise refused(f"there is no dataset of {', '.join(sorted(unknown))} here")
    if target.exists():
        raise refused(f"{target} exists; name a new file")
    try:
        first = since(days) if days else EVER
        wanted = dict.fromkeys(task or known)
        manifest = backup.export(layout, wanted, first, target, clear=clear)
    except (OSError, LogUnreadable) as error:
        raise refused(error) from error
    lines = sum(file["lines"] for file in manifest["files"])
    report = {"path": str(target), "files": len(manifest["files"]), "lines": lines}
    words = f"{report['files']} files with {lines} lines are in {target}"
    typer.echo(orjson.dumps(report) if as_json else words)


def import_(
    source: Annotated[Path, typer.Argument(help="A tar file that export made.")],
    as_json: AsJson = False,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Bring a backup's logs back, without the lines that are here already.

    They come as archives, so nothing is sampled, counted or sent a second time. What was erased
    since comes back too: repeat the erasure. A backup that is damaged changes nothing.
    """
    deployment = read_deployment(config, data_dir)
    try:
        restored = backup.restore(deployment.storage.layout, source)
    except (OSError, BackupInvalid, LogUnreadable) as error:
        raise refused(error) from error
    _warn_of_retention(restored, deployment.retention.executions.keep_days)
    report = {"placed": restored.placed, "present": restored.present, "lines": restored.lines}
    words = (
        f"{restored.placed} files with {restored.lines} lines came back; "
        f"{restored.present} were here already"
    )
    typer.echo(orjson.dumps(report) if as_json else words)


def _warn_of_retention(restored: backup.Restored, keep_days: int) -> None:
    kept_since = since(keep_days + 1)
    expired = sorted(date for date in restored.dates if date < kept_since)
    if expired:
        reason = f"retention deletes what is from {expired[0]} to {expired[-1]} within a minute"
        typer.echo(f"edged: {reason}, unless retention.executions.keep_days is raised", err=True)
