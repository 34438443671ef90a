"""`loopai improvements TASK`: how a task's program fares, and the attempts to better it."""

import json

import typer

from loopai.cli.terminal import (
    JsonOption,
    TaskArgument,
    calls_home,
    show,
)
from loopai.controlplane import ControlPlane


@calls_home
def list_improvements(
    home: ControlPlane,
    task: TaskArgument,
    as_json: JsonOption = False,
) -> None:
    """Show a task's failure rate and the attempts to better its program."""
    found = home.improvements(task)
    if as_json:
        typer.echo(json.dumps(found))
        return
    failure = found["failure"]
    typer.echo(failure["words"] if failure else f"{task}: no version serves yet")
    columns = ("id", "status", "from_version", "to_version", "created_at", "reason")
    show(found["improvements"], columns, as_json=False)
