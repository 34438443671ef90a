"""`loopai improvements TASK`: how a task's program fares, and the attempts to better it."""

import json

import typer

from loopai.cli.terminal import (
    URL,
    JsonOption,
    KeyFileOption,
    KeyOption,
    TaskArgument,
    UrlOption,
    home_at,
    show,
)


def list_improvements(
    task: TaskArgument,
    url: UrlOption = URL,
    api_key_file: KeyFileOption = None,
    api_key: KeyOption = "",
    as_json: JsonOption = False,
) -> None:
    """Show a task's failure rate and the attempts to better its program."""
    with home_at(url, api_key_file, api_key) as home:
        found = home.improvements(task)
    if as_json:
        typer.echo(json.dumps(found))
        return
    failure = found["failure"]
    typer.echo(failure["words"] if failure else f"{task}: no version serves yet")
    columns = ("id", "status", "from_version", "to_version", "created_at", "reason")
    show(found["improvements"], columns, as_json=False)
