"""`loopai`: people's command line for a control plane and its edges.

Every command prints a table for people, or JSON with --json. Never: prints a key.
"""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from loopai.cli import improvements, keys, reviews, rollouts, tickets
from loopai.cli.executing import execute
from loopai.cli.terminal import (
    JsonOption,
    TaskArgument,
    calls_home,
    fail,
    show,
)
from loopai.controlplane import ControlPlane, ControlPlaneError

app = typer.Typer(
    name="loopai",
    help="Create tasks, generate programs, look at versions and edges, run inputs.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.command("improvements")(improvements.list_improvements)
app.command("review")(reviews.review)
app.command("questions")(reviews.questions)
app.command("answer")(reviews.answer)
app.command()(execute)
app.add_typer(tickets.app)
app.add_typer(rollouts.app)
app.add_typer(keys.app)


@app.command()
@calls_home
def create(
    home: ControlPlane,
    task: TaskArgument,
    description: Annotated[str, typer.Option(help="What the task is, in words.")] = "",
    examples: Annotated[
        Path | None,
        typer.Option(
            help="JSONL or CSV; `label` or `output` is the right answer.",
            exists=True,  # before the task is made
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    label_field: Annotated[str | None, typer.Option(help="Another name for `label`.")] = None,
) -> None:
    """Create a task, with its examples if given."""
    home.create_task(task, description=description)
    if examples is None:
        return
    try:
        _add(home, task, examples, label_field)
    except ControlPlaneError:
        hint = f"the task was made without examples; then: loopai examples {task} FILE"
        typer.echo(f"loopai: {hint}", err=True)
        raise


@app.command("examples")
@calls_home
def add_examples(
    home: ControlPlane,
    task: TaskArgument,
    file: Annotated[
        Path,
        typer.Argument(
            help="JSONL or CSV; `label` or `output` is the right answer.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    label_field: Annotated[str | None, typer.Option(help="Another name for `label`.")] = None,
) -> None:
    """Add examples to a task."""
    _add(home, task, file, label_field)


@app.command()
@calls_home
def tasks(
    home: ControlPlane,
    as_json: JsonOption = False,
) -> None:
    """List the tasks."""
    show(home.tasks(), ("name", "description", "examples", "revision"), as_json=as_json)


@app.command()
@calls_home
def generate(
    home: ControlPlane,
    task: TaskArgument,
    strategy: Annotated[list[str] | None, typer.Option(help="Only this one; repeatable.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Generate a new version and wait for it."""
    columns = TextColumn("{task.description:<12}"), BarColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), disable=as_json) as bar:
        shown = bar.add_task("queued", total=1.0)
        made = home.wait(
            home.generate(task, strategies=strategy),
            lambda status, part: bar.update(shown, description=status, completed=part),
        )
    if as_json:
        typer.echo(json.dumps(made))
    elif made["status"] == "done":
        typer.echo(
            f"{task} v{made['version']}: strategy {made['strategy']}, "
            f"held-out score at least {made['confidence_score']:.3f}"
        )
    if made["status"] != "done":
        fail(f"the generation failed: {made['reason']}")


@app.command()
@calls_home
def versions(
    home: ControlPlane,
    task: TaskArgument,
    as_json: JsonOption = False,
) -> None:
    """List a task's versions."""
    columns = ("version", "status", "synthesis_strategy", "confidence_score", "digest")
    show(home.versions(task), columns, as_json=as_json)


@app.command()
@calls_home
def download(
    home: ControlPlane,
    task: TaskArgument,
    version: Annotated[int, typer.Argument(help="Its number.")],
    to: Annotated[Path | None, typer.Option(help="TASK-vN.zip, unless given.")] = None,
) -> None:
    """Save an artifact; run it alone with `python FILE < inputs.jsonl`."""
    path = to or Path(f"{task}-v{version}.zip")
    path.write_bytes(home.download(task, version))
    typer.echo(str(path))


@app.command()
@calls_home
def upload(
    home: ControlPlane,
    task: TaskArgument,
    file: Annotated[Path, typer.Argument(help="An artifact ZIP or a program.py.", exists=True)],
    activate: Annotated[bool, typer.Option("--activate", help="Serve it at once.")] = False,
) -> None:
    """Publish a program of your own, through the same gates as a generated one."""
    version = home.upload(task, file)["version"]
    if activate:
        home.activate(task, version)
    typer.echo(f"{task} v{version}{' is active' if activate else ''}")


@app.command()
@calls_home
def activate(
    home: ControlPlane,
    task: TaskArgument,
    version: Annotated[int, typer.Argument(help="Its number.")],
) -> None:
    """Make every edge serve this version."""
    home.activate(task, version)
    typer.echo(f"{task} v{version} is active")


@app.command()
@calls_home
def edges(
    home: ControlPlane,
    as_json: JsonOption = False,
) -> None:
    """List the enrolled edges."""
    columns = ("name", "deployment_id", "connected", "last_seen", "executions_total")
    show(home.edges(), columns, as_json=as_json)


def _add(home: ControlPlane, task: str, file: Path, label_field: str | None) -> None:
    stored = home.add_examples(task, file, label_field=label_field)
    typer.echo(f"{task}: {stored['stored']} examples stored")
